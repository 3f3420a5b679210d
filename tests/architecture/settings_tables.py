"""Writes the table of settings into each service's README: `python -m tests.architecture.settings_tables --write`.

Only what stands between the two markers is touched; where they are missing they are added at the end of the file.
"""

import argparse
import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tests.architecture.repository import ROOT, SERVICES, services, settings_of

BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"
_HEADING = "## Settings\n\n"
_BOUNDS = {
    "Ge": ("ge", "≥"),
    "Gt": ("gt", ">"),
    "Le": ("le", "≤"),
    "Lt": ("lt", "<"),
    "MinLen": ("min_length", "length ≥"),
}


def readme_of(service: str) -> Path:
    return SERVICES / service / "README.md"


def table(service: str) -> str:
    """Returns the settings of a service as a Markdown table: variable, type and bounds, default, meaning."""
    model = settings_of(service)
    prefix = str(model.model_config["env_prefix"])
    lines = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else _shown(field.default)
        lines.append(f"| `{prefix}{name.upper()}` | {_type(field)} | {default} | {field.description or ''} |")
    return "\n".join(lines)


def with_table(text: str, service: str) -> str:
    """Returns a README's text with its table renewed."""
    block = f"{BEGIN}\n{table(service)}\n{END}"
    before, marker, rest = text.partition(BEGIN)
    if not marker:
        return f"{text.rstrip()}\n\n{_HEADING}{block}\n"
    _, closing, after = rest.partition(END)
    if not closing:
        raise ValueError(f"README of {service} has {BEGIN} without {END}")
    return before + block + after


def _type(field: FieldInfo) -> str:
    bounds = []
    for limit in field.metadata:
        attribute, sign = _BOUNDS.get(type(limit).__name__, ("", ""))
        if attribute:
            bounds.append(f"{sign} {getattr(limit, attribute)}")
    return " ".join([_name(field.annotation), ", ".join(bounds)]).strip()


def _name(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(_name(part) for part in get_args(annotation) if part is not type(None))
    if origin is tuple:
        return "JSON list"
    name = str(annotation.__name__)
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(name, name.lower())


def _shown(default: Any) -> str:
    if default in ("", None, ()):
        return "empty"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Renews the tables of settings in the services' READMEs.")
    parser.add_argument("--write", action="store_true", help="write them; otherwise only tell which differ")
    write = parser.parse_args(arguments).write
    differing = []
    for service in services():
        readme = readme_of(service)
        text = readme.read_text(encoding="utf-8")
        renewed = with_table(text, service)
        if renewed != text:
            differing.append(str(readme.relative_to(ROOT)))
            if write:
                readme.write_text(renewed, encoding="utf-8")
    sys.stdout.write(f"{'wrote' if write else 'differ'}: {', '.join(differing) or 'none'}\n")
    return 0 if write or not differing else 1


if __name__ == "__main__":
    sys.exit(main())
