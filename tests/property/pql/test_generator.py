"""The fuzzing speaks the whole language: what the generator never writes would never be compared."""

from shared.pql import parse, syntax
from shared.pql.functions import FUNCTIONS, METHODS, OPERATORS
from tests.support.naive.generate import Generator
from tests.support.naive.rare import rare
from tests.unit.shared.pql.test_coverage import nodes


def test_random_expressions_use_every_function_and_form() -> None:
    used, kinds, filters = set[str](), set[type](), 0
    for seed in range(600):
        generator = Generator(seed)
        generator.segments = ["s0"]
        parts = (generator.on_profile(0), generator.text_test("tier"), rare(generator))
        for text in (generator.condition(2), generator.amount(1), *parts):
            found = list(nodes(parse(text)))
            kinds |= {type(node) for node in found}
            used |= {node.function for node in found if isinstance(node, syntax.Call)}
            filters += ".filter(" in text

    grammar = {kind for kind in vars(syntax).values() if isinstance(kind, type) and issubclass(kind, syntax.Node)}
    assert {*FUNCTIONS, *METHODS, *OPERATORS} - {"filter"} == used
    assert grammar - {syntax.Node} == kinds & grammar
    assert filters > 0
