"""The champion of the chaos runs."""

from tests.support.models import linear_model

RAW_MODEL = linear_model((0.31, 0.0027, -0.043), -1.37)
"""A logistic regression over the three features, with weights that have no short binary form."""
