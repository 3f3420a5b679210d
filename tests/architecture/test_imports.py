"""The import contracts of pyproject.toml hold, and our package names are ours."""

import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import services as services_package
import shared
from tests.architecture.repository import ROOT, services

_ROOMS = {"__main__.py", "app.py", "settings.py", "metrics.py", "README.md"}


def test_the_import_contracts_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)

    code = lint_imports(config_filename="pyproject.toml", no_cache=True)

    assert code == 0, capsys.readouterr().out


def test_all_contracts_of_the_design_are_declared() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    kinds = [contract["type"] for contract in contracts]

    assert sorted(set(kinds)) == ["acyclic_siblings", "forbidden", "independence", "layers", "protected"]
    assert len(kinds) >= 8


def test_the_generic_package_names_mean_our_folders() -> None:
    assert Path(str(services_package.__file__)).parent == ROOT / "services"
    assert Path(str(shared.__file__)).parent == ROOT / "shared"


@pytest.mark.parametrize("service", services())
def test_every_service_has_the_same_rooms(service: str) -> None:
    found = {path.name for path in (ROOT / "services" / service).iterdir()}

    assert _ROOMS - found == set()


@pytest.mark.parametrize("service", services())
def test_main_does_nothing_but_run_the_service(service: str) -> None:
    lines = (ROOT / "services" / service / "__main__.py").read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(("#", '"""', "from ", "import "))]

    assert code[-1].strip() == f'main("{service}", Settings, build)'
    assert len(code) <= 3
