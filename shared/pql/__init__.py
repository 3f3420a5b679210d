"""PQL: the language of segments and features, and its incremental engine.

Pure: text and schema give expressions, expressions give a plan, and plan, state, profile, event and time give the next
state and what changed. No I/O, no clock, no logging.
"""

from shared.pql.absorbing import absorb, catch_up
from shared.pql.compile import compile_feature, compile_segment
from shared.pql.cost import Estimate
from shared.pql.errors import (
    CheckError,
    LimitError,
    ParseError,
    PlanError,
    PqlError,
    Span,
    TokenError,
    TreeError,
    did_you_mean,
)
from shared.pql.evaluator import Change, Event, Outcome, Profile, due, evaluate, read_features
from shared.pql.explain import Evidence, Explanation, LeafExplanation, explain, explanation, why
from shared.pql.merging import merge_states
from shared.pql.parser import parse
from shared.pql.plan import Expression, FeatureSpec, Plan, SegmentSpec
from shared.pql.planner import build_plan
from shared.pql.pqljson import to_json
from shared.pql.pqltree import from_json
from shared.pql.printer import print_query
from shared.pql.schema import Schema
from shared.pql.seeding import history_plan, lacks_history, take_history
from shared.pql.state import ProfileState, UnknownStateVersion, decode_state, encode_state, event_hash, new_state
from shared.pql.types import ANY, Type

__all__ = [
    "ANY",
    "Change",
    "CheckError",
    "Estimate",
    "Event",
    "Evidence",
    "Explanation",
    "Expression",
    "FeatureSpec",
    "LeafExplanation",
    "LimitError",
    "Outcome",
    "ParseError",
    "Plan",
    "PlanError",
    "PqlError",
    "Profile",
    "ProfileState",
    "Schema",
    "SegmentSpec",
    "Span",
    "TokenError",
    "TreeError",
    "Type",
    "UnknownStateVersion",
    "absorb",
    "build_plan",
    "catch_up",
    "compile_feature",
    "compile_segment",
    "decode_state",
    "did_you_mean",
    "due",
    "encode_state",
    "evaluate",
    "event_hash",
    "explain",
    "explanation",
    "from_json",
    "history_plan",
    "lacks_history",
    "merge_states",
    "new_state",
    "parse",
    "print_query",
    "read_features",
    "take_history",
    "to_json",
    "why",
]
