"""Errors of the registry that carry more than a sentence."""

from shared.kernel.errors import Reason, Rejected


class AliasConflict(Rejected):
    """The alias has moved since the caller looked: read it again and decide anew."""

    def __init__(self, model: str, alias: str, expected: int, present_revision: int, present_version: int) -> None:
        now = f"revision {present_revision} (version {present_version})" if present_revision else "not set yet"
        super().__init__(
            f"alias {alias!r} of model {model!r}: expected revision {expected}, but it is {now}; "
            f"read it again and send expectedRevision {present_revision} if the move is still wanted",
            Reason.CONFLICT,
        )
        self.present_revision = present_revision
        self.present_version = present_version
