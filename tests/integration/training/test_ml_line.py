"""The machine-learning line on real Kafka and Redis: facts, vectors, a training run, a champion, scores, the edge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.adapters.kafka import Message
from shared.adapters.redis import RedisClient
from shared.contracts import redis_keys
from shared.contracts.codec import encode
from shared.contracts.inbound import SCORES_DATASET
from shared.contracts.models import TrainingRequest
from shared.contracts.partitioning import partition_of
from shared.contracts.topics import EVENTS, FEATURE_VECTORS, INBOUND, KEYED_PARTITIONS, SCORES, TRAINING_REQUESTS
from shared.contracts.vectors import FeatureVector
from shared.features import pack
from tests.support.ml_line import Line, ml_line, train
from tests.support.models import INPUT
from tests.support.platform import EmbeddedPlatform
from tests.support.shop_log import SHOP_FEATURES, shop_log
from tests.support.waiting import eventually

pytestmark = pytest.mark.platform

PROFILES = 300


@pytest.fixture
async def line(platform: EmbeddedPlatform, tmp_path: Path) -> AsyncIterator[Line]:
    async with ml_line(platform, tmp_path) as line:
        yield line


async def send_shop_log(line: Line) -> None:
    sets = {
        "name": "shop",
        "features": [
            {"name": f.name, "expression": f.expression, "default": f.default} for f in SHOP_FEATURES.features
        ],
    }
    made = await line.segmentation.post("/feature-sets", json=sets)
    assert made.status_code == 201, made.text

    async def runs_it() -> bool:
        answer = (await line.segmentation.get("/feature-sets/shop")).json()
        return bool(answer["readiness"]["state"] == "ready")

    await eventually(runs_it, "the feature set runs")
    topic = f"{line.run}-{EVENTS.name}"
    messages = [
        Message(topic, partition_of(f.profile_id, KEYED_PARTITIONS), f.profile_id.encode(), encode(f))
        for f in shop_log(PROFILES)
    ]
    for acknowledged in await line.producer.submit(messages):
        await acknowledged


async def test_facts_become_vectors_a_champion_scores_and_edge_answers(line: Line) -> None:
    await send_shop_log(line)

    run = await train(line, "first", through_kafka=True)

    assert (run["state"], run["modelVersion"]) == ("DONE", 1), run
    assert run["metrics"]["auc"] > 0.6
    assert run["metrics"]["parity_max_abs"] <= 1e-5
    assert "parity rows=" in run["logTail"]
    champion = (await line.registry.get("/models/propensity/aliases/champion")).json()
    assert (champion["version"], champion["revision"]) == (1, 1)
    await check_scores(line)
    await check_edge(line)
    await check_swap(line)


async def check_scores(line: Line) -> None:
    """Every profile's newest vector was scored by the champion, and the score went back as a fact."""
    vectors: dict[str, FeatureVector] = {v.profile_id: v for v in await line.read(FEATURE_VECTORS)}
    assert len(vectors) == PROFILES

    async def all_scored() -> bool:
        newest = {score.profile_id: score for score in await line.read(SCORES)}
        return {p: s.vector_id for p, s in newest.items()} == {p: v.id for p, v in vectors.items()}

    await eventually(all_scored, "every profile's newest vector is scored", limit_s=60)
    scores = {score.profile_id: score for score in await line.read(SCORES)}
    facts = [m for m in await line.read(INBOUND) if m.header.dataset_id == SCORES_DATASET]
    assert {f.body.xdm_entity["_id"] for f in facts} == {s.id for s in await line.read(SCORES)}
    sample = [vectors[profile] for profile in sorted(vectors)[:50]]
    rows = [value for vector in sample for value in vector.values]
    tensor = {"name": INPUT, "shape": [len(sample), 4], "datatype": "FP32", "data": rows}
    answer = (await line.edge.post("/v2/models/propensity/infer", json={"inputs": [tensor]})).json()
    assert answer["outputs"][0]["data"][1::2] == pytest.approx([scores[v.profile_id].value for v in sample], abs=1e-6)


async def check_edge(line: Line) -> None:
    """The edge reads a stored vector for a profile; an unknown one is 404, or answered from defaults."""
    vector = (await line.read(FEATURE_VECTORS))[-1]
    redis = RedisClient(line.platform.redis_url)
    partition = partition_of(vector.profile_id, KEYED_PARTITIONS)
    name = redis_keys.vector_name("shop", vector.profile_id)
    await redis.client.set(redis_keys.view(line.run, "profile_store", partition, name), pack(vector))
    await redis.client.aclose()
    scores = {score.profile_id: score.value for score in await line.read(SCORES)}

    known = await line.edge.post("/predict/propensity", json={"profileId": vector.profile_id})
    unknown = await line.edge.post("/predict/propensity", json={"identity": {"namespace": "Email", "id": "nobody"}})
    asked = {"identity": {"namespace": "Email", "id": "nobody"}, "onMissing": "default"}
    default = await line.edge.post("/predict/propensity", json=asked)

    assert known.json()["score"] == pytest.approx(scores[vector.profile_id], abs=1e-6)
    assert (known.json()["version"], known.json()["features"]) == (1, "profile")
    assert (unknown.status_code, default.json()["features"]) == (404, "defaults")
    assert "send an event first" in unknown.json()["detail"]


async def check_swap(line: Line) -> None:
    """A second run, asked over HTTP, becomes champion everywhere; the same request again trains nothing."""
    second = await train(line, "second", through_kafka=False, estimator="logistic_regression")
    again = await train(line, "second", through_kafka=True)

    assert (second["state"], second["modelVersion"]) == ("DONE", 2), second
    assert again == second

    async def swapped() -> bool:
        edge = (await line.edge.get("/v2/models/propensity")).json()
        scoring = (await line.scoring.get("/champions")).json()["champions"]
        return edge["versions"] == ["2"] and [c["version"] for c in scoring] == [2]

    await eventually(swapped, "scoring and edge serve version 2")


async def test_requests_that_cannot_run_are_told_and_hold_nothing_up(line: Line) -> None:
    await line.producer.send(TRAINING_REQUESTS, "garbage", b"{not json")
    wrong = TrainingRequest("wrong", "propensity", "propensity", 1, parameters={"horizon_day": 3})
    await line.producer.send(TRAINING_REQUESTS, "wrong", wrong)

    empty = await train(line, "empty", through_kafka=True)
    missing = await train(line, "missing", through_kafka=True, feature_set="nowhere")
    told = (await line.training.get("/runs/wrong")).json()
    refused = await line.training.post(
        "/runs", json={"recipe": "propensity", "model": "propensity", "parameters": {"horizon_day": 3}}
    )

    assert (told["state"], told["message"]) == (
        "FAILED",
        "recipe 'propensity' has no parameter 'horizon_day'; did you mean 'horizon_days'?",
    )
    assert (empty["state"], missing["state"]) == ("FAILED", "FAILED")
    assert "segmentation has no feature set 'nowhere'" in missing["message"]
    assert (refused.status_code, refused.json()["detail"]) == (400, told["message"])
