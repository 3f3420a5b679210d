"""The command line of the demo: check everything, start everything, run, print."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from rich.console import Console

from deploy.demo import home, setup, summary, trying
from deploy.demo.definitions import load_recipe, load_segments, shipped_segments, union_schema
from deploy.demo.display import say
from deploy.demo.errors import DemoError, UsageError
from deploy.demo.options import Options, parse
from deploy.demo.run import Plan, run
from deploy.demo.state import RunState
from deploy.local.errors import PlatformError
from deploy.local.settings import LocalSettings, load_settings
from shared.cli.sources.choose import choose_source
from shared.cli.sources.ga4 import NAMESPACE as GA4_NAMESPACE
from shared.cli.sources.source import SourceError
from shared.cli.sources.synthetic_shop import NAMESPACE as ECID
from shared.kernel.clock import format_instant
from shared.sdk import ApiError, Freshet, Unreachable

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
_PLAIN_WIDTH = 120
_PATIENCE_S = 60.0
_CURIOUS = ("likely_and_open", "likely_and_loyal", "likely_buyers", "likely_signups")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 done, 1 failed on the way, 2 asked for something impossible, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _demo(parse(arguments))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (DemoError, PlatformError, SourceError, ApiError, Unreachable) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _demo(options: Options) -> int:
    plan = _plan(options)
    settings = load_settings().model_copy(update={"clock": "stream"})
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    home.make_fresh(settings, say)
    with home.running(settings, options.keep, say), _connect(settings) as freshet:
        datasets = setup.register_data(freshet, plan.source.name)
        setup.define_features(freshet, plan.recipe)
        setup.define_segments(freshet, plan.segments)
        setup.wait_until_ready(freshet)
        say(f"{len(plan.segments)} segments are ready; sending events")
        result, state = asyncio.run(
            run(
                plan,
                freshet,
                settings.kafka_bootstrap_servers,
                datasets,
                console,
                lambda: home.check_processes(settings),
            )
        )
        summary.print_result(result, console)
        if options.summary:
            summary.write(result, options.summary)
            say(f"summary written to {options.summary}")
        if options.keep:
            _print_what_next(settings, freshet, state, plan)
    return EXIT_OK


def _plan(options: Options) -> Plan:
    """Reads and checks all that was asked for; nothing is started yet."""
    try:
        source = choose_source(options.data, options.users, options.seed)
    except SourceError as error:
        raise UsageError(str(error)) from error
    segments = load_segments(options.segments or shipped_segments(source.name), union_schema(source.name))
    total = source.count(options.until)
    if not total:
        raise UsageError(f"no event lies before UNTIL={format_instant(options.until or 0)}")
    total = min(total, options.limit) if options.limit else total
    return Plan(options, source, total, segments, load_recipe(source.name, source.conversion))


def _connect(settings: LocalSettings) -> Freshet:
    services = ("ingestion", "segmentation", "profile_store", "training", "model_registry", "edge_inference")
    return Freshet.connect({name: settings.url(name) for name in services}, _PATIENCE_S)


def _print_what_next(settings: LocalSettings, freshet: Freshet, state: RunState, plan: Plan) -> None:
    tally, people = state.reader.tally, state.sender.people
    members = {
        segment.name: [people[profile] for profile in tally.members(segment.name) if profile in people]
        for segment in plan.segments
    }
    namespace = GA4_NAMESPACE if plan.source.name == "ga4" else ECID
    someone = trying.choose(namespace, members, _CURIOUS, next(iter(people.values()), "nobody"))
    say("\nTry a profile, the members of a segment, and a prediction at the edge:")
    for line in trying.lines(freshet, someone):
        say(f"  {line}")
    say(f"\nMetrics: /metrics of each service, for example {settings.url('segmentation')}/metrics")
    say(f"Logs:    {settings.home / 'logs'} (make logs)")
    say("Everything is left up: make status shows it, make down ends it.")


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
