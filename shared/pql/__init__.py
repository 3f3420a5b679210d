"""PQL: the language of segments and features, and its incremental engine.

Pure: text and schema give expressions, expressions give a plan, and plan, state, profile, event and time give the next
state and what changed. No I/O, no clock, no logging.
"""

from shared.pql.compile import compile_feature, compile_segment
from shared.pql.errors import CheckError, LimitError, ParseError, PlanError, PqlError, Span, TokenError
from shared.pql.evaluator import Change, Event, Outcome, Profile, due, evaluate, read_features
from shared.pql.explain import Evidence, explain, why
from shared.pql.merging import merge_states
from shared.pql.parser import parse
from shared.pql.plan import Expression, FeatureSpec, Plan, SegmentSpec
from shared.pql.planner import build_plan
from shared.pql.pqljson import from_json, to_json
from shared.pql.printer import print_query
from shared.pql.schema import Schema
from shared.pql.state import ProfileState, UnknownStateVersion, decode_state, encode_state, event_hash, new_state

__all__ = [
    "Change",
    "CheckError",
    "Event",
    "Evidence",
    "Expression",
    "FeatureSpec",
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
    "UnknownStateVersion",
    "build_plan",
    "compile_feature",
    "compile_segment",
    "decode_state",
    "due",
    "encode_state",
    "evaluate",
    "event_hash",
    "explain",
    "from_json",
    "merge_states",
    "new_state",
    "parse",
    "print_query",
    "read_features",
    "to_json",
    "why",
]
