"""What clients send: the reference's definition JSON."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from services.segmentation.domain.conversion import Format, to_text


class Body(BaseModel):
    """Fields are camelCase on the wire; unknown ones are refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class ExpressionBody(Body):
    """`value` is PQL text or, with format `pql/json`, its tree: as an object, or as text that holds one."""

    type: Literal["PQL"] = "PQL"
    format: Format = "pql/text"
    value: str | dict[str, Any] = Field(min_length=1)

    def text(self) -> str:
        """Returns the expression as text. Raises PqlError when `value` is not of the named format."""
        return to_text(self.format, self.value)


class DefinitionBody(Body):
    """What a definition may hold. Fields of the reference that Freshet decides itself are accepted and ignored."""

    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")
    description: str = ""
    expression: ExpressionBody
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    profile_instance_id: str | None = None
    merge_policy_id: str | None = None
    evaluation_info: dict[str, Any] | None = None
    payload_schema: str | None = None
    ttl_in_days: int | None = None


class SegmentBody(DefinitionBody):
    """A new segment."""

    name: str = Field(min_length=1, max_length=200)


class SegmentPatch(Body):
    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    expression: ExpressionBody | None = None


class ConversionBody(DefinitionBody):
    """A definition whose expression is wanted in the other format; it need not have a name."""

    name: str | None = Field(default=None, max_length=200)


class ExplainBody(Body):
    """Any definition may be sent; only its expression counts."""

    model_config = ConfigDict(extra="ignore")

    expression: ExpressionBody


class PreviewBody(Body):
    """`predicate_model`, `graph_type` and `merge_strategy` are the reference's; there is one of each, so they are
    accepted and ignored. `sample_partitions`: how many of the log's partitions are read, each a random share of all
    people."""

    predicate_expression: str | dict[str, Any] = Field(min_length=1)
    predicate_type: Format = "pql/text"
    predicate_model: str | None = None
    graph_type: str | None = None
    merge_strategy: str | None = None
    sample_partitions: int = 1

    def text(self) -> str:
        """Returns the predicate as text. Raises PqlError when it is not of the named type."""
        return to_text(self.predicate_type, self.predicate_expression)
