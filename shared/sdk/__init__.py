"""Python client of all HTTP APIs.

with Freshet.connect() as freshet:
    freshet.segmentation.define("buyers", 'xEvent[eventType = "commerce.purchases"].count() >= 1')
    freshet.profiles.lookup("Email", "ada@shop.example")
"""

from shared.sdk.client import DEFAULT_URLS, Freshet
from shared.sdk.errors import ApiError, Unreachable
from shared.sdk.models import Alias, Run
from shared.sdk.segmentation import Estimate, FeatureSet, Segment

__all__ = ["DEFAULT_URLS", "Alias", "ApiError", "Estimate", "FeatureSet", "Freshet", "Run", "Segment", "Unreachable"]
