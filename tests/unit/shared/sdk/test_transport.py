"""What the SDK does with answers, refusals and silence."""

from collections.abc import Callable

import httpx
import msgspec
import pytest

from shared.sdk import ApiError, Freshet, Unreachable
from shared.sdk.transport import Http

Answer = Callable[[httpx.Request], httpx.Response]


def _http(answer: Answer, patience_s: float = 5.0) -> Http:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Http("http://service", client, patience_s, sleep=lambda _: None)


def _after(failures: int, answer: Answer, failure: Answer) -> tuple[Answer, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return failure(request) if len(seen) <= failures else answer(request)

    return respond, seen


def _ok(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"fine": True})


def _not_now(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, json={"title": "Not now"})


def _refused_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def _lost_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


def test_an_answer_is_decoded() -> None:
    assert {"fine": True} == _http(_ok).get("/x", limit=3, cursor=None)


def test_an_empty_answer_is_none() -> None:
    assert None is _http(lambda _: httpx.Response(204)).post("/x", {})


@pytest.mark.parametrize("failure", [_not_now, _refused_connection])
def test_a_service_that_is_not_there_yet_is_waited_for(failure: Answer) -> None:
    answer, seen = _after(3, _ok, failure)

    assert {"fine": True} == _http(answer).post("/x", {"a": 1})
    assert 4 == len(seen)


@pytest.mark.parametrize("failure", [_not_now, _refused_connection])
def test_patience_has_an_end(failure: Answer) -> None:
    with pytest.raises(Unreachable, match=r"GET http://service/x: no answer within 0 s"):
        _http(failure, patience_s=0).get("/x")


def test_a_request_that_may_have_been_done_is_not_repeated() -> None:
    answer, seen = _after(1, _ok, _lost_connection)

    with pytest.raises(Unreachable, match="nobody knows whether it was done"):
        _http(answer).post("/x", {})

    assert 1 == len(seen)


def test_a_request_that_is_safe_to_repeat_is_repeated() -> None:
    answer, seen = _after(1, _ok, _lost_connection)

    assert {"fine": True} == _http(answer).post("/x", {}, safe=True)
    assert 2 == len(seen)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "no such thing", "title": "Not found"}, "404 no such thing"),
        ({"error": "no model"}, "404 no model"),
        (None, "404 plain words"),
    ],
)
def test_a_refusal_is_told_in_the_services_words(body: dict[str, str] | None, words: str) -> None:
    content = b"plain words" if body is None else msgspec.json.encode(body)

    with pytest.raises(ApiError, match=words) as raised:
        _http(lambda _: httpx.Response(404, content=content)).get("/x")

    assert 404 == raised.value.status


def test_clients_of_all_services_ask_at_their_addresses() -> None:
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url}")
        return httpx.Response(200, json={"id": "i", "models": [], "segments": [], "abc": {"entity": {}}})

    client = httpx.Client(transport=httpx.MockTransport(respond))
    with Freshet.connect({"ingestion": "http://there:1/"}, client=client) as freshet:
        freshet.ingestion.register_schema("t", {}, "event")
        freshet.segmentation.segments()
        freshet.profiles.lookup("Email", "a@b")
        freshet.registry.models()

    assert asked == [
        "POST http://there:1/schemas",
        "GET http://127.0.0.1:8102/ups/segment/definitions",
        "GET http://127.0.0.1:8103/ups/access/entities?schema.name=_xdm.context.profile&entityId=a%40b&entityIdNS=Email",
        "GET http://127.0.0.1:8105/models",
    ]
