"""What to say about a name that nothing has: where it was looked up, and where it may have been meant."""

from collections.abc import Mapping, Sequence

from shared.pql.core import Attribute, Core, Get
from shared.pql.errors import CheckError, Span, did_you_mean
from shared.pql.functions import METHODS, usage
from shared.pql.schema import Schema
from shared.pql.types import Type

_SHOWN_MAX = 8
_LEVELS = {1: "one level", 2: "two levels", 3: "three levels"}
_EVENTS = frozenset({"xevent", "xevents", "event", "events", "experienceevent", "experienceevents"})
_SELF = frozenset({"profile", "xprofile", "user", "person", "customer", "this", "self"})


def unknown_field(name: str, target: Core, span: Span, schema: Schema, outer: Sequence[Core] | None) -> CheckError:
    """The error for a field that the target's type does not declare.

    `outer` are the implicit objects around the innermost, outermost first; None for a name after a dot.
    """
    span = Span(max(span.start, span.end - len(name)), span.end)
    return CheckError(f"`{name}` is not a field of {_place(target, schema)}", span, _hint(name, target, schema, outer))


def _place(target: Core, schema: Schema) -> str:
    path: list[str] = []
    while isinstance(target, Get):
        path.insert(0, target.name)
        target = target.target
    if isinstance(target, Attribute):
        path = [*target.path, *path]
    if path:
        return f"`{'.'.join(path)}`"
    if isinstance(target, Attribute):
        return "the profile"
    return "the events" if target.type is schema.event else "this object"


def _hint(name: str, target: Core, schema: Schema, outer: Sequence[Core] | None) -> str:
    known = target.type.fields
    if outer is not None:
        for levels, candidate in enumerate(reversed(outer), start=1):
            if name in candidate.type.fields:
                away = _LEVELS.get(levels, f"{levels} levels")
                return f"it is a field {away} further out: write `{'^' * levels}.{name}`"
        if not outer and (found := _on_the_profile(name, schema)):
            return found
    if name in METHODS and (outer is None or not outer):
        return f"it is a method: {usage(name)}"
    if name in schema.event.fields and isinstance(target, Attribute):
        return _of_events(name, schema)
    return did_you_mean(name, known) or listed(known)


def _on_the_profile(name: str, schema: Schema) -> str | None:
    """What a bare name outside of all filters may have been meant to be."""
    if name.lower() in _EVENTS:
        return "the profile's events are called `xEvent`"
    if name.lower() in _SELF:
        return f"write the field itself, or begin with `({name}) =>`"
    if name in schema.event.fields:
        return _of_events(name, schema)
    near = did_you_mean(name, schema.profile.fields)
    if near is None and (near := did_you_mean(name, [*schema.event.fields, "xEvent"])) and "xEvent" not in near:
        return near.replace("did you mean `", "did you mean `xEvent.")
    return near


def _of_events(name: str, schema: Schema) -> str:
    path, type_ = name, schema.event.fields[name]
    while type_.fields:
        first = min(type_.fields)
        path, type_ = f"{path}.{first}", type_.fields[first]
    return f"it is a field of the events: write, for example, `xEvent[{path} = ..].count() > 0`"


def not_an_object(name: str, target: Core, span: Span) -> CheckError:
    """The error for a field of a value that has no fields."""
    span = Span(max(span.start, span.end - len(name)), span.end)
    if name in METHODS:
        hint = f"it is a method: {usage(name)}"
    elif target.type.kind == "null":
        hint = "call a method, such as `.isNotNull()`"
    else:
        hint = f"compare the value itself, or call a method; a value of type {target.type} has no fields"
    return CheckError(f"`{name}` is not a field: the value before it is of type {target.type}", span, hint)


def listed(fields: Mapping[str, Type]) -> str:
    """The known fields in a hint."""
    names = sorted(fields)
    if not names:
        return "it has no fields that are declared; add the field to the schema"
    more = f" and {len(names) - _SHOWN_MAX} more" if len(names) > _SHOWN_MAX else ""
    return f"known are {', '.join(names[:_SHOWN_MAX])}{more}"
