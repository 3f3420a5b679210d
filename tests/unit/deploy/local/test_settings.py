from pathlib import Path

import pytest

from deploy.local.errors import PlatformError
from deploy.local.settings import LocalSettings, load_settings


def test_a_variable_sets_the_port_of_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_LOCAL_SCORING_PORT", "9106")

    settings = load_settings()

    assert settings.url("scoring") == "http://127.0.0.1:9106"


def test_a_misspelt_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_LOCAL_KAFKA_PROT", "9092")

    with pytest.raises(PlatformError, match="FRESHET_LOCAL_KAFKA_PROT is not a setting"):
        load_settings()


def test_a_value_out_of_bounds_is_refused_with_variable_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_LOCAL_KAFKA_PORT", "70000")

    with pytest.raises(PlatformError, match=r"FRESHET_LOCAL_KAFKA_PORT: .*65535 \(found '70000'\)"):
        load_settings()


def test_two_programs_on_one_port_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_LOCAL_SCORING_PORT", "8101")

    with pytest.raises(PlatformError, match="INGESTION_PORT and FRESHET_LOCAL_SCORING_PORT are the same port"):
        load_settings()


def test_only_loopback_is_listened_on() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        LocalSettings(host="0.0.0.0")


def test_a_home_that_configuration_files_cannot_quote_is_refused() -> None:
    with pytest.raises(ValueError, match="configuration files cannot carry"):
        LocalSettings(home=Path("/home/o'brien"))


def test_a_relative_home_counts_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = LocalSettings(home=Path("here"))

    assert settings.home == tmp_path / "here"


@pytest.mark.parametrize("name", sorted(LocalSettings.model_fields))
def test_every_setting_is_documented(name: str) -> None:
    assert LocalSettings.model_fields[name].description
