"""How many profiles are seeded at once follows how long a slice has kept its partition."""

from services.segmentation.domain.bounds import TurnSize


def test_slices_grow_while_they_are_quick_and_halve_when_they_take_long() -> None:
    size = TurnSize(64)
    sizes = []

    for held_us in (1_000, 1_000, 5_000, 20_000, 20_000, 20_000):
        size.took(size.keys, held_us)
        sizes.append(size.keys)

    assert [20, 25, 25, 12, 8, 8] == sizes


def test_slices_never_exceed_the_most_and_the_last_small_one_says_nothing() -> None:
    size, small = TurnSize(20), TurnSize(3)

    for _ in range(10):
        size.took(size.keys, 0)
    size.took(2, 0)
    small.took(3, 1_000_000)

    assert (20, 3) == (size.keys, small.keys)
