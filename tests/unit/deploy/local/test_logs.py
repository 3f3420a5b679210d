from pathlib import Path

from deploy.local.logs import follow, tail


def test_the_end_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "kafka.log").write_text("".join(f"line {number}\n" for number in range(100)))

    assert tail(tmp_path / "kafka.log", 2) == ["line 98", "line 99"]


def test_an_absent_log_has_no_lines(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log", 5) == []


def test_following_goes_on_through_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "kafka.log"
    path.write_text("before\n")
    # A log that does not exist yet is read from its beginning; one that does, from its end.
    following = follow([path, tmp_path / "redis.log"])
    (tmp_path / "redis.log").write_text("redis starts\n")
    first = next(following)

    with path.open("a") as log:
        log.write("added\n")
    second = next(following)
    path.rename(tmp_path / "kafka.log.1")
    path.write_text("after rotation\n")
    third = next(following)

    assert [first, second, third] == [("redis", "redis starts"), ("kafka", "added"), ("kafka", "after rotation")]
