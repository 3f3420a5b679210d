"""Syntax tree → text, such that parsing the text gives the tree again."""

import json
import re

from shared.pql.cursor import RESERVED, UNITS
from shared.pql.forms import AGGREGATES, TIME_WORDS
from shared.pql.functions import METHODS
from shared.pql.syntax import (
    Aggregate,
    ArrayLiteral,
    Between,
    Binding,
    CalendarUnit,
    Call,
    Chain,
    Distance,
    DurationLiteral,
    Field,
    Filter,
    Lambda,
    Let,
    Literal,
    Name,
    Node,
    ObjectLiteral,
    Occurs,
    On,
    Parameter,
    Quantifier,
    Query,
    Relative,
    Select,
    Step,
    TimeWord,
    Up,
    When,
)

_PLAIN = re.compile(r"[^\W\d]\w*\Z")
# Words that mean something else at the start of an expression.
_TAKEN = RESERVED | frozenset(TIME_WORDS) | frozenset(AGGREGATES) | {"exists", "forall", "select", "let", "chain", "if"}
_TAKEN_BEFORE_UNIT = frozenset({"this", "last", "next"})
_LOGIC = frozenset({"and", "or"})
_INFIX = frozenset({"=", "!=", "<", "<=", ">", ">=", "in", "notIn", "like", "+", "-", "*", "/", "%"})
_ATOMS = (Name, Parameter, Field, Filter, ArrayLiteral, ObjectLiteral, TimeWord, CalendarUnit, Up)


def print_query(query: Query) -> str:
    """The text of a whole expression."""
    head = f"({', '.join(map(_name, query.parameters))}) => " if query.parameters else ""
    return head + print_node(query.body)


def print_node(node: Node) -> str:
    """The text of a node, not parenthesised."""
    match node:
        case Literal(value=value):
            return json.dumps(value, ensure_ascii=False)
        case DurationLiteral(count=count, unit=unit):
            return f"{count} {_plural(unit) if count != 1 else unit}"
        case Name(name=name):
            return _name(name) if name.lower() not in _TAKEN | _TAKEN_BEFORE_UNIT else f"`{name}`"
        case Parameter(position=position):
            return f"${position}"
        case Up(levels=levels):
            return "^" * levels
        case Field(target=target, name=name):
            return f"{_target(target)}.{_name(name)}"
        case Filter(source=source, condition=Lambda() as condition):
            return f"{_target(source)}.filter({print_node(condition)})"
        case Filter(source=source, condition=condition):
            return f"{_target(source)}[{print_node(condition)}]"
        case ArrayLiteral(items=items):
            return f"[{', '.join(map(print_node, items))}]"
        case ObjectLiteral(entries=entries):
            inner = ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {print_node(value)}" for key, value in entries)
            return f"{{{inner}}}"
        case Call():
            return _call(node)
        case TimeWord(word=word, zone=zone):
            return f"{word}{_zone(zone)}"
        case CalendarUnit(which=which, unit=unit, zone=zone):
            return f"{which} {unit}{_zone(zone)}"
        case _:
            return _form(node)


def _form(node: Node) -> str:
    match node:
        case Lambda(parameters=parameters, body=body):
            return f"({', '.join(map(_name, parameters))}) => {print_node(body)}"
        case Let(name=name, value=value, body=body):
            return f"let {_name(name)} = {_operand(value)} in {print_node(body)}"
        case Quantifier(kind=kind, bindings=bindings):
            return f"{kind} {', '.join(_binding(kind, binding) for binding in bindings)}"
        case Select(name=name, source=source, condition=condition):
            return f"select {_binding('exists', Binding(name, source, condition))}"
        case Aggregate(function=function, value=value, name=name, source=source, condition=condition):
            over = f"{_name(name)} from {_operand(source)}{_where(condition)}"
            return f"{function} {_operand(value)} over {over}"
        case Occurs(subject=subject, when=when):
            return f"{_operand(subject)} occurs {_when(when)}"
        case Chain(source=source, steps=steps, within=within):
            inner = f"chain({_operand(source)}, timestamp, [{', '.join(map(_step, steps))}]"
            return inner + (f", WITHIN({print_node(within)}))" if within else ")")
    raise AssertionError(f"no text for {type(node).__name__}")


def _call(node: Call) -> str:
    name, arguments = node.function, node.arguments
    if name == "not":
        return f"not {_operand(arguments[0])}"
    if name in _LOGIC:
        return f" {name} ".join(map(_operand, arguments))
    if name in _INFIX:
        if len(arguments) == 1:
            return f"-{_operand(arguments[0])}"
        return f" {name} ".join(map(_operand, arguments))
    if name in METHODS:
        return f"{_target(arguments[0])}.{name}({', '.join(map(print_node, arguments[1:]))})"
    return f"{name}({', '.join(map(print_node, arguments))})"


def _is_applied(node: Node) -> bool:
    return isinstance(node, Call) and node.function not in _INFIX | _LOGIC | {"not"}


def _operand(node: Node) -> str:
    """A node beside an operator: anything compound in parentheses."""
    simple = isinstance(node, (*_ATOMS, Literal, DurationLiteral)) or _is_applied(node)
    return print_node(node) if simple else f"({print_node(node)})"


def _target(node: Node) -> str:
    """A node before a dot or bracket."""
    return print_node(node) if isinstance(node, _ATOMS) or _is_applied(node) else f"({print_node(node)})"


def _binding(kind: str, node: Binding) -> str:
    text = f"{_name(node.name)} from {_operand(node.source)}"
    # Conditions are parenthesised: a quantifier inside would take the comma or colon that follows.
    if node.narrow is not None:
        text += f" where ({print_node(node.narrow)})"
        if kind == "forall" and node.demand is None:
            return text + " : true"
    return text if node.demand is None else f"{text} : ({print_node(node.demand)})"


def _where(condition: Node | None) -> str:
    return "" if condition is None else f" where {print_node(condition)}"


def _when(node: When) -> str:
    match node:
        case Distance(comparison=comparison, amount=amount, direction=direction, anchor=anchor):
            return f"{comparison} {print_node(amount)} {direction} {_operand(anchor)}"
        case Relative(direction=direction, anchor=anchor):
            return f"{direction} {_operand(anchor)}"
        case Between(low=low, high=high):
            return f"between {_operand(low)} and {_operand(high)}"
        case On(anchor=anchor):
            return f"on {_operand(anchor)}"


def _step(step: Step) -> str:
    text = f"{'not ' if step.negated else ''}{_name(step.label)}: WHAT({print_node(step.what)})"
    if step.when is not None:
        text += f" WHEN({_when(step.when)})"
    return text + (f" WITHIN({print_node(step.within)})" if step.within else "")


def _name(name: str) -> str:
    return name if _PLAIN.match(name) else f"`{name}`"


def _zone(zone: str | None) -> str:
    return "" if zone is None else f"({json.dumps(zone)})"


def _plural(unit: str) -> str:
    return next(spelling for spelling, singular in UNITS.items() if singular == unit and spelling != unit)
