"""The Dockerfile builds small, unprivileged images from locks that hold all a service imports."""

import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from threading import Thread

import pytest

from deploy.docker import healthcheck
from tests.architecture.repository import ROOT, SERVICES, imported_files, imported_names, services

DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
_NOT_AT_THE_EDGE = {"faust-streaming", "scikit-learn", "skl2onnx", "onnx", "sqlalchemy", "pip", "setuptools"}
_OURS = {"services", "shared", "deploy"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _locked(service: str) -> dict[str, str]:
    """Returns the versions of a service's lock by package name."""
    text = (ROOT / f"requirements/{service.replace('_', '-')}.lock").read_text(encoding="utf-8")
    return {_normal(name): version for name, version in re.findall(r"^([\w.\[\]-]+)==([^ \\]+)", text, re.MULTILINE)}


def _processes(service: str) -> Iterator[Path]:
    """Yields where the processes of a service begin: `__main__`, and what it runs beside itself."""
    yield from sorted((SERVICES / service).rglob("*.py"))


@pytest.mark.parametrize("service", services())
def test_the_lock_holds_everything_that_a_service_imports(service: str) -> None:
    distributions = packages_distributions()
    reached = {file for start in _processes(service) for file in imported_files(start)}
    imported = {name.partition(".")[0] for file in reached for name in imported_names(file)}
    outside = imported - _OURS - set(sys.stdlib_module_names)

    missing = [
        name for name in sorted(outside) if not {_normal(d) for d in distributions[name]} & set(_locked(service))
    ]

    assert missing == [], f"add them to the extra of {service} in pyproject.toml, then: make lock"


@pytest.mark.parametrize("service", services())
def test_the_lock_has_hashes_and_the_versions_that_are_tested(service: str) -> None:
    text = (ROOT / f"requirements/{service.replace('_', '-')}.lock").read_text(encoding="utf-8")
    development = (ROOT / "requirements/dev.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^(\S+==\S+)[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)

    assert len(pins) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert [pin for pin in pins if pin not in development] == []


def test_the_edge_stays_small() -> None:
    assert set(_locked("edge_inference")) & _NOT_AT_THE_EDGE == set()


def test_the_image_is_pinned_unprivileged_and_checked() -> None:
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    uid = re.search(r"^USER (\d+):\d+$", last_stage, re.MULTILINE)

    assert base is not None
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base.group(1))
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert uid is not None
    assert int(uid.group(1)) >= 10_000
    assert re.search(r"^HEALTHCHECK .*/livez", last_stage, re.MULTILINE)
    assert "--require-hashes" in DOCKERFILE


def test_no_compiler_and_no_pip_come_into_the_image() -> None:
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]

    assert "apt-get" not in DOCKERFILE
    assert "--only-binary=:all:" in DOCKERFILE
    assert "--without-pip" in DOCKERFILE
    assert "pip uninstall --yes" in last_stage
    assert "pip install" not in last_stage


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    sources = {source.replace("${SERVICE}", service) for source in copied for service in services()}
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert [source for source in sources if not _allowed(source, allowed)] == []


def _allowed(source: str, patterns: list[str]) -> bool:
    path = Path(source)
    return any(path.match(p) or source.startswith(p.rstrip("*").removesuffix(".lock").rstrip("*")) for p in patterns)


def test_the_image_holds_all_of_our_code_that_a_service_imports() -> None:
    starts = [ROOT / "deploy/kafka/apply.py", ROOT / "deploy/docker/healthcheck.py"]
    starts += [SERVICES / service / "__main__.py" for service in services()]
    needed = {file.relative_to(ROOT) for start in starts for file in imported_files(start)}
    copied = re.findall(r"(?:deploy|shared|services)/[^\s]*", DOCKERFILE)

    outside = [file for file in needed if not any(str(file).startswith(c.replace("${SERVICE}/", "")) for c in copied)]

    assert outside == []


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 503)
        self.end_headers()
        self.wfile.write(b"kafka: no answer")

    def log_message(self, format: str, *args: object) -> None:
        return


def test_the_health_check_tells_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    environment = {"SERVICE": "scoring", "FRESHET_SCORING_HTTP_PORT": str(server.server_port)}
    try:
        answers = [healthcheck.main(path, environment) for path in ("/livez", "/readyz")]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    nobody = healthcheck.main("/livez", environment)
    unset = healthcheck.main("/livez", {"SERVICE": "scoring"})

    told = capsys.readouterr().err
    assert [*answers, nobody, unset] == [0, 1, 1, 1]
    assert "/readyz answered 503, expected 200: kafka: no answer" in told
    assert "no answer at port" in told
    assert "FRESHET_SCORING_HTTP_PORT is not set" in told
