"""Asks Kafka, Redis and services whether they answer, with nothing but sockets: one attempt, no client, no state.

The launcher imports this before every program, so it must load in milliseconds.
"""

import http.client
import socket
import struct
from urllib.parse import urlsplit

ATTEMPT_TIMEOUT_S = 3.0

_CLIENT_ID = b"freshet"
_API_VERSIONS_KEY, _API_VERSION, _CORRELATION_ID = 18, 0, 1


def answers(url: str) -> str | None:
    """Returns None if the other side answers, otherwise why not, as half a sentence.

    `url` is `kafka://host:port`, `redis://host:port` or an `http://` address that must answer 200.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 0
    try:
        match parts.scheme:
            case "kafka":
                return _kafka(host, port)
            case "redis":
                return _redis(host, port)
            case "http":
                return _http(host, port, parts.path or "/")
            case other:
                raise ValueError(f"{url}: expected kafka://, redis:// or http://, found {other}://")
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__


def _kafka(host: str, port: int) -> str | None:
    request = struct.pack(">hhih", _API_VERSIONS_KEY, _API_VERSION, _CORRELATION_ID, len(_CLIENT_ID)) + _CLIENT_ID
    with socket.create_connection((host, port), ATTEMPT_TIMEOUT_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        head = connection.recv(10, socket.MSG_WAITALL)
    if len(head) < 10:
        return "closed the connection"
    _, correlation_id, error_code = struct.unpack(">iih", head)
    if correlation_id != _CORRELATION_ID or error_code != 0:
        return f"answered with Kafka error {error_code}"
    return None


def _redis(host: str, port: int) -> str | None:
    with socket.create_connection((host, port), ATTEMPT_TIMEOUT_S) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(512)
    return None if answer == b"+PONG\r\n" else answer.decode(errors="replace").strip() or "closed the connection"


def _http(host: str, port: int, path: str) -> str | None:
    connection = http.client.HTTPConnection(host, port, timeout=ATTEMPT_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(300).decode(errors="replace")
    finally:
        connection.close()
    return None if response.status == 200 else f"HTTP {response.status}: {body}"
