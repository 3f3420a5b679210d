"""One step of a test file: from YAML nodes to a `Step`, key by key."""

import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import yaml

from shared.cli.segments.definitions import read_definitions
from shared.cli.segments.located import Document, Entry
from shared.cli.segments.testing.steps import (
    AdvanceStep,
    DefineStep,
    EventStep,
    ExpectedTransition,
    ExpectErrorStep,
    ExpectMembersStep,
    ExpectProfileStep,
    ListStep,
    MergeStep,
    ProfileStep,
    RemoveStep,
    Step,
    TransitionsStep,
)
from shared.cli.segments.testing.times import NOW, Moment, parse_moment
from shared.pql import did_you_mean

T = TypeVar("T")
_CHANGES = {"entered": True, "exited": False}


class Reader:
    """Reads the steps of one document; `references` collects the names that expectations use, with their nodes."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.references: list[tuple[str, str, yaml.Node]] = []
        self._kinds: dict[str, Callable[[yaml.Node, int], Step]] = {
            "event": self._event,
            "profile": self._profile,
            "advance": self._advance,
            "define": lambda node, line: self._define(node, line, features=False),
            "define_features": lambda node, line: self._define(node, line, features=True),
            "remove": self._remove,
            "merge": self._merge,
            "list": self._list,
            "expect": self._expect,
            "expect_error": self._expect_error,
            "transitions": self._transitions,
        }

    def known(self, node: yaml.Node, what: str, keys: Iterable[str], required: Iterable[str] = ()) -> dict[str, Entry]:
        """The entries of a mapping that may have these keys only."""
        entries = self.document.entries(node, what)
        keys = list(keys)
        for name, entry in entries.items():
            if name not in keys:
                hint = did_you_mean(name, keys)
                known = f"; {hint}" if hint else f"; known are {', '.join(keys)}"
                self.document.fail(entry.key, f"unknown key `{name}` in {what}{known}")
        self._require(node, what, entries, required)
        return entries

    def _require(self, node: yaml.Node, what: str, entries: dict[str, Entry], required: Iterable[str]) -> None:
        for name in required:
            if name not in entries:
                self.document.fail(node, f"{what} lacks `{name}`")

    def step(self, node: yaml.Node) -> Step:
        """Read one item of `steps`."""
        entries = self.known(node, "a step", self._kinds)
        if len(entries) != 1:
            self.document.fail(node, f"a step has exactly one key, found {', '.join(entries) or 'none'}")
        ((kind, entry),) = entries.items()
        return self._kinds[kind](entry.node, entry.key.start_mark.line + 1)

    def _text(self, entries: dict[str, Entry], key: str) -> str:
        return self.document.text_of(entries[key].node, f"`{key}`")

    def _parsed(self, node: yaml.Node, what: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(self.document.text_of(node, what))
        except ValueError as error:
            self.document.fail(node, f"{what}: {error}")

    def _moment(self, entries: dict[str, Entry], key: str, default: Moment = NOW) -> Moment:
        return self._parsed(entries[key].node, f"`{key}`", parse_moment) if key in entries else default

    def _names(self, node: yaml.Node, what: str) -> list[str]:
        return [self.document.text_of(item, f"an item of {what}") for item in self.document.items(node, what)]

    def _referring(self, node: yaml.Node, what: str, kind: str) -> list[str]:
        for item in self.document.items(node, what):
            self.references.append((kind, self.document.text_of(item, f"an item of {what}"), item))
        return self._names(node, what)

    def _event(self, node: yaml.Node, line: int) -> Step:
        entries = self.document.entries(node, "an event")
        self._require(node, "an event", entries, ("profile",))
        received = self._moment(entries, "received")
        if "type" in entries and "eventType" in entries:
            self.document.fail(entries["eventType"].key, "`type` and `eventType` are the same; give one of them")
        kind = next((self._text(entries, key) for key in ("type", "eventType") if key in entries), "")
        rest = {name: entry for name, entry in entries.items() if name not in _EVENT_KEYS}
        return EventStep(
            line,
            profile=self._text(entries, "profile"),
            type=kind,
            id=self._text(entries, "id") if "id" in entries else None,
            at=self._moment(entries, "at", received),
            received=received,
            body={name: self.document.value(entry.node) for name, entry in rest.items()},
        )

    def _profile(self, node: yaml.Node, line: int) -> Step:
        entries = self.known(node, "a profile", ("id", "dataset", "set", "unset", "received"), ("id",))
        body: dict[str, Any] = {}
        if "set" in entries:
            self.document.entries(entries["set"].node, "`set`")
            body = self.document.value(entries["set"].node) or {}
        for item in self.document.items(entries["unset"].node, "`unset`") if "unset" in entries else ():
            self._unset(body, item)
        return ProfileStep(
            line,
            profile=self._text(entries, "id"),
            dataset=self._text(entries, "dataset") if "dataset" in entries else "profiles",
            received=self._moment(entries, "received"),
            body=body,
        )

    def _unset(self, body: dict[str, Any], node: yaml.Node) -> None:
        path = self.document.text_of(node, "an item of `unset`")
        *above, last = path.split(".")
        for name in above:
            below = body.setdefault(name, {})
            if not isinstance(below, dict):
                self.document.fail(node, f"`{path}` is unset and `{name}` is set in the same step")
            body = below
        if last in body:
            self.document.fail(node, f"`{path}` is set and unset in the same step")
        body[last] = None

    def _advance(self, node: yaml.Node, line: int) -> Step:
        text = self.document.text_of(node, "`advance`").strip()
        moment = self._parsed(node, "`advance`", parse_moment)
        if moment.absolute is None and moment.offset < 0:
            self.document.fail(node, f"the clock only moves forward, found `{text}`")
        return AdvanceStep(line, moment)

    def _define(self, node: yaml.Node, line: int, *, features: bool) -> Step:
        what = "`define_features`" if features else "`define`"
        return DefineStep(line, read_definitions(self.document, node, what), features)

    def _remove(self, node: yaml.Node, line: int) -> Step:
        if isinstance(node, yaml.SequenceNode):
            return RemoveStep(line, self._referring(node, "`remove`", "segment"))
        name = self.document.text_of(node, "`remove`")
        self.references.append(("segment", name, node))
        return RemoveStep(line, [name])

    def _merge(self, node: yaml.Node, line: int) -> Step:
        entries = self.known(node, "a merge", ("from", "into"), ("from", "into"))
        source, into = self._text(entries, "from"), self._text(entries, "into")
        if source == into:
            self.document.fail(node, f"`{source}` cannot be merged into itself")
        return MergeStep(line, source, into)

    def _list(self, node: yaml.Node, line: int) -> Step:
        entries = self.known(node, "a list", ("name", "add", "remove"), ("name",))
        add, remove = (
            self._names(entries[key].node, f"`{key}`") if key in entries else [] for key in ("add", "remove")
        )
        return ListStep(line, self._text(entries, "name"), add, remove)

    def _expect(self, node: yaml.Node, line: int) -> Step:
        entries = self.document.entries(node, "`expect`")
        if "profile" in entries and not isinstance(entries["profile"].node, yaml.SequenceNode):
            return self._expect_profile(node, line)
        members = {}
        for name, entry in entries.items():
            self.references.append(("segment", name, entry.key))
            members[name] = frozenset(self._names(entry.node, f"the members of `{name}`"))
        return ExpectMembersStep(line, members)

    def _expect_profile(self, node: yaml.Node, line: int) -> Step:
        entries = self.known(node, "`expect`", ("profile", "in", "out", "features"), ("profile",))
        inside, outside = (
            self._referring(entries[key].node, f"`{key}`", "segment") if key in entries else [] for key in ("in", "out")
        )
        features: dict[str, float | None] = {}
        for name, entry in (
            self.document.entries(entries["features"].node, "`features`") if "features" in entries else {}
        ).items():
            self.references.append(("feature", name, entry.key))
            features[name] = self._number(entry)
        return ExpectProfileStep(line, self._text(entries, "profile"), inside, outside, features)

    def _number(self, entry: Entry) -> float | None:
        value = self.document.value(entry.node)
        if value is None:
            return None
        if not isinstance(value, int | float) or math.isnan(value):
            self.document.fail(entry.node, f"the value of feature `{entry.name}` is a number or null, found `{value}`")
        return float(value)

    def _expect_error(self, node: yaml.Node, line: int) -> Step:
        doing = [kind for kind in self._kinds if not kind.startswith("expect") and kind != "transitions"]
        entries = self.known(node, "`expect_error`", (*doing, "message"))
        kinds = [kind for kind in entries if kind != "message"]
        if len(kinds) != 1:
            self.document.fail(
                node, f"`expect_error` holds one step that must fail, found {', '.join(kinds) or 'none'}"
            )
        entry = entries[kinds[0]]
        step = self._kinds[kinds[0]](entry.node, line)
        if isinstance(step, RemoveStep):
            # Removing what nobody defined is the very error that is expected.
            del self.references[-len(step.names) :]
        return ExpectErrorStep(line, step, self._text(entries, "message") if "message" in entries else None)

    def _transitions(self, node: yaml.Node, line: int) -> Step:
        return TransitionsStep(line, [self._transition(item) for item in self.document.items(node, "`transitions`")])

    def _transition(self, node: yaml.Node) -> ExpectedTransition:
        keys = ("profile", "segment", "change", "at")
        entries = self.known(node, "a transition", keys, keys[:3])
        change, segment = self._text(entries, "change"), self._text(entries, "segment")
        if change not in _CHANGES:
            self.document.fail(entries["change"].node, f"`change` is `entered` or `exited`, found `{change}`")
        self.references.append(("segment", segment, entries["segment"].node))
        at = self._moment(entries, "at") if "at" in entries else None
        return ExpectedTransition(self._text(entries, "profile"), segment, _CHANGES[change], at)


_EVENT_KEYS = ("profile", "type", "eventType", "id", "at", "received")
