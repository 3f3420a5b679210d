"""HTTP as all clients of the SDK use it: JSON in and out, patience with a service that is restarting."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import msgspec

from shared.kernel.retry import Backoff
from shared.sdk.errors import ApiError, Unreachable

_BACKOFF = Backoff(first_s=0.1, max_s=1.0)
_NOT_NOW = (502, 503, 504)


@dataclass(frozen=True)
class Http:
    """Sends requests to one service.

    What did not reach the service (no connection, 502 to 504) is repeated with back-off for `patience_s`. What may
    have reached it (a connection lost while waiting) is repeated only where the caller says that it is safe.
    """

    base_url: str
    client: httpx.Client
    patience_s: float = 10.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def get(self, path: str, **query: Any) -> Any:
        """Returns the decoded JSON body."""
        return self.call("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: Any, *, safe: bool = False) -> Any:
        """`safe`: the service takes a repeat for the same request."""
        return self.call("POST", path, safe=safe, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, json=body, safe=True)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self.call("DELETE", path, safe=True)

    def call(self, method: str, path: str, *, safe: bool = False, json: Any = None, **options: Any) -> Any:
        """Returns the decoded body, None when there is none. Raises ApiError when refused, Unreachable when nobody
        answered."""
        if json is not None:
            content = msgspec.json.encode(json)
            options |= {"content": content, "headers": {"Content-Type": "application/json"}}
        response = self._send(method, path, safe or method == "GET", options)
        if response.is_success:
            return msgspec.json.decode(response.content) if response.content else None
        problem = _problem_of(response)
        detail = problem.get("detail") or problem.get("error") or problem.get("title") or response.text[:500]
        raise ApiError(f"{method} {self.base_url}{path}", response.status_code, str(detail), problem)

    def _send(self, method: str, path: str, safe: bool, options: Mapping[str, Any]) -> httpx.Response:
        request = f"{method} {self.base_url}{path}"
        end = time.monotonic() + self.patience_s
        delays = _BACKOFF.delays(Random())  # noqa: S311 - spreads retries, nothing secret
        while True:
            trouble = ""
            try:
                response = self.client.request(method, self.base_url + path, **options)
                if response.status_code not in _NOT_NOW:
                    return response
                trouble = f"{response.status_code} {response.text[:200]}"
            except httpx.ConnectError as error:
                trouble = str(error)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__} {error}".strip()
                if not safe:
                    raise Unreachable(f"{request}: {trouble}; nobody knows whether it was done") from error
            if time.monotonic() >= end:
                raise Unreachable(f"{request}: no answer within {self.patience_s:g} s: {trouble}")
            self.sleep(next(delays))


def _problem_of(response: httpx.Response) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}
