"""What the format of test files takes, and how it refuses the rest."""

from pathlib import Path

import pytest

from shared.cli.segments.errors import WrongInput
from shared.cli.segments.testing.format import read_test_file
from shared.cli.segments.testing.steps import EventStep, ProfileStep


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "one.yaml"
    path.write_text(text)
    with pytest.raises(WrongInput) as caught:
        read_test_file(path, "one.yaml")
    return str(caught.value)


def test_an_empty_set_and_empty_segments_are_legal(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("segments: {}\nsteps:\n  - profile: {set: {}, id: u1}\n")

    file = read_test_file(path)

    assert file.segments == {}
    assert [ProfileStep(3, "u1", "profiles", file.steps[0].received, {})] == file.steps  # type: ignore[attr-defined]


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("steps:\n  - event: {profile: 007, id: 1.0, country: NO, zip: 0123}\n")

    (step,) = read_test_file(path).steps

    assert isinstance(step, EventStep)
    assert ("007", "1.0", {"country": "NO", "zip": "0123"}) == (step.profile, step.id, step.body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps:\n  - evnt: {profile: u1}\n", "one.yaml:2:5: unknown key `evnt` in a step; did you mean `event`?"),
        ("steps:\n  - advance: 5\n", "one.yaml:2:14: `advance`: `5` is no duration; write for example"),
        ("steps:\n  - advance: -5s\n", "one.yaml:2:14: the clock only moves forward, found `-5s`"),
        ("clokc: 2026-01-01\n", "one.yaml:1:1: unknown key `clokc` in the file; did you mean `clock`?"),
        ("clock: soon\n", "one.yaml:1:8: `clock` is an instant such as 2026-01-01T00:00:00Z, found `soon`"),
        ("steps:\n  - expect: {carts: [u1]}\n", "one.yaml:2:14: no segment `carts` is defined in this file"),
        ("steps:\n  - event: {type: x}\n", "one.yaml:2:12: an event lacks `profile`"),
        ("segments: {a: 'true', a: 'true'}\n", "one.yaml:1:23: `a` is given twice in segments"),
        ("steps:\n  - merge: {from: a, into: a}\n", "one.yaml:2:12: `a` cannot be merged into itself"),
        ("steps: [\n", "one.yaml:2:1: this is no YAML"),
        ("schema: nowhere.json\n", "one.yaml:1:9: the schema"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)
