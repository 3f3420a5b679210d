"""Scopes: which name means what at a place of the expression."""

from dataclasses import dataclass, field, replace
from typing import Protocol

from shared.pql.core import Core, Variable
from shared.pql.syntax import Node
from shared.pql.types import Type


@dataclass(frozen=True, slots=True)
class Scope:
    """Named variables, the stack of implicit objects (innermost last), and the level of the next binder."""

    implicit: tuple[Core, ...]
    parameters: tuple[Core, ...]
    variables: dict[str, Core] = field(default_factory=dict)
    level: int = 0

    def naming(self, name: str, value: Core) -> "Scope":
        """The scope in which `name` stands for `value`."""
        return replace(self, variables={**self.variables, name: value})

    def binding(self, name: str, type_: Type) -> "Scope":
        """The scope under a binder that names its item."""
        inner = self.naming(name, Variable(self.level, type=type_))
        return replace(inner, level=self.level + 1)

    def inside(self, type_: Type) -> "Scope":
        """The scope under a binder whose item is the implicit object."""
        return replace(self, implicit=(*self.implicit, Variable(self.level, type=type_)), level=self.level + 1)


class Lowering(Protocol):
    """What the rules for calls and time need of the checker."""

    def lower(self, node: Node, scope: Scope) -> Core:
        """The typed tree of a node."""

    def array(self, node: Node, scope: Scope) -> Core:
        """The typed tree of a node that must be an array."""

    def condition(self, node: Node, scope: Scope) -> Core:
        """The typed tree of a node used as a condition."""

    def item(self, node: Node, source: Core, scope: Scope, count: int = 1) -> Core:
        """The typed tree of an argument judged per item."""
