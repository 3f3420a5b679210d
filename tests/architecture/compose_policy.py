"""The rules that docker-compose.yml is held to; each returns sentences about what breaks it."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Service = Mapping[str, Any]
Compose = Mapping[str, Any]
Rule = Callable[[str, Service], Iterator[str]]

_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<how>[-?])(?P<rest>[^}]*))?\}")
_SIZE = re.compile(r"\d+(?:k|m|g)b?")
_CONDITIONS = ("service_healthy", "service_completed_successfully")


def interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    """Returns `value` with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced, as Compose does it.

    Raises KeyError for a variable that must be set and is not.
    """
    if isinstance(value, dict):
        return {key: interpolated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def replaced(found: re.Match[str]) -> str:
        name, how, rest = found["name"], found["how"], found["rest"]
        if variables.get(name):
            return variables[name]
        if how == "-":
            return rest
        raise KeyError(f"{name}: {rest or 'is not set'}")

    return _REFERENCE.sub(replaced, value)


def environment_file(text: str) -> dict[str, str]:
    """Returns the variables of an env file."""
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def violations(compose: Compose) -> list[str]:
    """Returns everything in `compose` that breaks a rule, one sentence each."""
    found = [
        f"{name}: {problem}"
        for name, service in compose["services"].items()
        for rule in RULES
        for problem in rule(name, service)
    ]
    found += [
        f"{name}: {problem}"
        for name, service in compose["services"].items()
        for problem in _dependencies(service, compose)
    ]
    return found


def _privileges(_: str, service: Service) -> Iterator[str]:
    if service.get("cap_drop") != ["ALL"]:
        yield "cap_drop must be [ALL]"
    if service.get("cap_add"):
        yield "cap_add gives capabilities back"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "security_opt lacks no-new-privileges:true"
    for name in ("privileged", "devices", "pid", "ipc", "userns_mode", "network_mode"):
        if service.get(name):
            yield f"{name} is not allowed"


def _user(_: str, service: Service) -> Iterator[str]:
    ours = str(service.get("image", "")).startswith("freshet/")  # the Dockerfile names their user
    uid = str(service.get("user", "10001" if ours else "0")).partition(":")[0]
    if not uid.isdecimal() or int(uid) == 0:
        yield "runs as root: name a user by its number"


def _file_system(_: str, service: Service) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "the root file system must be read_only"
    places = {mount.partition(":")[0]: mount for mount in service.get("tmpfs", ())}
    if "/tmp" not in places:
        yield "tmpfs must offer /tmp"
    yield from (f"tmpfs {place} has no size" for place, mount in places.items() if "size=" not in mount)
    for volume in service.get("volumes", ()):
        source, _, rest = str(volume).partition(":")
        if source.startswith((".", "/")) and not rest.endswith(":ro"):
            yield f"{source} of the host must be mounted read-only"
        if "docker.sock" in source:
            yield "the Docker socket must not be mounted"


def _limits(_: str, service: Service) -> Iterator[str]:
    if not _SIZE.fullmatch(str(interpolated(service.get("mem_limit", ""), {}))):
        yield "mem_limit is missing"
    if not 0 < int(service.get("pids_limit", 0)) <= 1024:
        yield "pids_limit must lie between 1 and 1024"
    options = service.get("logging", {}).get("options", {})
    if not options.get("max-size") or not options.get("max-file"):
        yield "logging must rotate (max-size, max-file)"


def _ports(_: str, service: Service) -> Iterator[str]:
    for port in service.get("ports", ()):
        if not str(port).startswith("127.0.0.1:"):
            yield f"port {port} is published beyond loopback"


def _image(_: str, service: Service) -> Iterator[str]:
    image = str(service.get("image", ""))
    tag = image.rpartition(":")[2] if ":" in image else ""
    if not re.search(r"\d+\.\d+", tag):
        yield f"image {image!r} is not pinned to a version"


def _health(_: str, service: Service) -> Iterator[str]:
    check = service.get("healthcheck", {})
    one_shot = service.get("restart") == "on-failure"
    if not one_shot and not check.get("test"):
        yield "has no healthcheck"
    if not one_shot and service.get("restart") != "unless-stopped":
        yield "is not restarted"


def _secrets(_: str, service: Service) -> Iterator[str]:
    for name, value in service.get("environment", {}).items():
        secret = "PASSWORD" in name or re.search(r"://[^/@]*:[^/@]+@", str(value))
        if secret and not _REFERENCE.search(str(value)):
            yield f"{name} holds a secret in the file"


RULES: tuple[Rule, ...] = (_privileges, _user, _file_system, _limits, _ports, _image, _health, _secrets)


def _dependencies(service: Service, compose: Compose) -> Iterator[str]:
    needed = service.get("depends_on", {})
    if not isinstance(needed, dict):
        yield "depends_on must give conditions"
        return
    for name, how in needed.items():
        other = compose["services"].get(name)
        if other is None:
            yield f"depends on {name}, which does not exist"
        elif how.get("condition") not in _CONDITIONS:
            yield f"waits for {name} without its health"
        elif (how["condition"] == _CONDITIONS[1]) != (other.get("restart") == "on-failure"):
            yield f"waits for {name} in a way that never comes true"
