"""Definitions without events: are they right, and how would they be run?"""

from collections.abc import Sequence
from pathlib import Path

from shared.cli.segments.definitions import Definition, compile_one, compile_plan, load_definitions, load_schema
from shared.cli.segments.errors import WrongInput
from shared.pql import (
    CheckError,
    Expression,
    PqlError,
    Schema,
    compile_feature,
    compile_segment,
    explain,
    explanation,
)


def check_paths(paths: Sequence[Path], schema_file: Path | None) -> tuple[int, list[str]]:
    """Compile all definitions of some folders and files; returns how many there are, and a message for each problem.

    Raises WrongInput for a path that holds no definitions.
    """
    schema = _schema(schema_file)
    definitions = [definition for path in paths for definition in load_definitions(path)]
    names = {definition.name for definition in definitions}
    problems, right = [], []
    for definition in definitions:
        try:
            expression = compile_one(definition, schema)
        except WrongInput as error:
            problems.append(str(error))
            continue
        right.append(definition)
        problems += [
            f"{definition.file}: `{definition.name}` refers to `{name}`, which is no segment of these definitions"
            for name in explanation(expression).refers_to
            if name not in names
        ]
    try:
        compile_plan(right, schema)
    except WrongInput as error:
        problems.append(str(error))
    return len(definitions), problems


def explain_text(subject: str, schema_file: Path | None) -> str:
    """Explain the expressions of a file, or the text itself. Raises WrongInput with the place of an error."""
    schema = _schema(schema_file)
    path = Path(subject)
    if _is_path(path):
        definitions = load_definitions(path)
        if len(definitions) > 1:
            return "\n\n".join(f"# {one.name}\n{explain(_compiled(one, schema))}" for one in definitions)
    elif path.suffix in (".pql", ".yaml", ".yml") and "\n" not in subject and " " not in subject:
        raise WrongInput(f"{subject} does not exist")
    else:
        definitions = [Definition("expression", subject, "text")]
    return explain(_compiled(definitions[0], schema))


def _is_path(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a long expression is no file name
        return False


def _compiled(definition: Definition, schema: Schema) -> Expression:
    """A segment, or, if its value is no condition, a feature."""
    try:
        return compile_segment(definition.text, schema)
    except CheckError as error:
        try:
            return compile_feature(definition.text, schema)
        except PqlError:
            raise definition.located(error) from error
    except PqlError as error:
        raise definition.located(error) from error


def _schema(path: Path | None) -> Schema:
    return Schema.permissive() if path is None else load_schema(path)
