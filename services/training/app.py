"""Where training is put together."""

from prometheus_client import CollectorRegistry

from services.training import api as http
from services.training import jobs, stream
from services.training.adapters.cron import CroniterCron
from services.training.adapters.process import Places, ProcessTrainer, RunLimits
from services.training.adapters.requests import KafkaRequests
from services.training.adapters.runs import METADATA, SqlRuns, SqlSchedules
from services.training.handlers import Training
from services.training.metrics import Metrics
from services.training.settings import Settings
from shared.adapters.kafka import Producer
from shared.adapters.sql import Database
from shared.kernel.clock import WallClock
from shared.runtime.control import ControlHost, control_app
from shared.runtime.health import Health
from shared.runtime.http_host import create_api
from shared.runtime.process import Process

_DOC = "Trains models from the archived log: recipes, runs, schedules."


def build(settings: Settings) -> Process:
    """Builds the process: database, producer, runner, control agent and crontab, HTTP."""
    prometheus = CollectorRegistry()
    metrics = Metrics(prometheus)
    database = Database(settings.database_url, METADATA)
    producer = Producer(settings.kafka_access, settings.topic_prefix, "training")
    requests = KafkaRequests(producer)
    training = Training(
        runs=SqlRuns(database),
        schedules=SqlSchedules(database),
        cron=CroniterCron(),
        requests=requests,
        trainer=_trainer(settings),
        clock=WallClock(),
        attempts_max=settings.run_attempts_max,
    )
    control = control_app("training", settings)
    take = stream.taker(training, requests.bury, lambda outcome: metrics.requests.labels(outcome).inc())
    stream.attach(control, settings.topic_prefix, take)
    jobs.attach(control, training.fire_schedules)
    health = Health()
    health.add("database", database.ping)
    health.add("kafka", producer.ping)
    api = create_api("training", _DOC, health, prometheus)
    http.add_routes(api, training)
    components = (database, producer, jobs.Runner(training, metrics), ControlHost(control, consumes=True))
    return Process("training", settings, api, health, components)


def _trainer(settings: Settings) -> ProcessTrainer:
    places = Places(settings.kafka_access, settings.topic_prefix, settings.registry_url, settings.segmentation_url)
    limits = RunLimits(settings.run_s_max, settings.run_memory_mb_max << 20, settings.run_niceness)
    return ProcessTrainer(settings.data_dir, places, limits)
