"""Lines to try, each asked here once before it is printed, so that it works as printed."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from deploy.demo.definitions import MODEL
from shared.sdk import ApiError, Freshet, Unreachable


@dataclass(frozen=True, slots=True)
class Someone:
    """A person to ask about, and a segment they are in (if anybody is in one)."""

    namespace: str
    value: str
    segment: str


def choose(namespace: str, members: Mapping[str, Sequence[str]], preferred: Sequence[str], fallback: str) -> Someone:
    """Prefers a member of the first of `preferred` that has any, then of any segment, then `fallback`."""
    for name in [*preferred, *sorted(members)]:
        if members.get(name):
            return Someone(namespace, min(members[name]), name)
    return Someone(namespace, fallback, next(iter(sorted(members)), ""))


def lines(freshet: Freshet, someone: Someone) -> list[str]:
    """The `curl` lines that answer. Raises nothing: what does not answer is left out and said."""
    told = []
    query = {
        "schema.name": "_xdm.context.profile",
        "entityId": someone.value,
        "entityIdNS": someone.namespace,
    }
    url = f"{freshet.profiles.http.base_url}/ups/access/entities?{urlencode(query)}"
    told.append(_try(lambda: freshet.profiles.lookup(someone.namespace, someone.value), f"curl -s {shlex.quote(url)}"))
    if someone.segment:
        url = f"{freshet.profiles.http.base_url}/ups/segments/{someone.segment}/members?limit=5"
        told.append(_try(lambda: freshet.profiles.members(someone.segment, 5), f"curl -s {shlex.quote(url)}"))
    url = f"{freshet.edge.http.base_url}/predict/{MODEL}"
    body = f'{{"identity": {{"namespace": "{someone.namespace}", "id": "{someone.value}"}}}}'
    command = f"curl -s -X POST {url} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    told.append(_try(lambda: freshet.edge.predict(MODEL, someone.namespace, someone.value), command))
    return told


def _try(call: object, command: str) -> str:
    assert callable(call)
    try:
        call()
    except (ApiError, Unreachable) as error:
        return f"# does not answer now ({error}):\n  # {command}"
    return command
