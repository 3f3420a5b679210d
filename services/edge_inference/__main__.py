"""Runs edge inference."""

from services.edge_inference.app import build
from services.edge_inference.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("edge_inference", Settings, build)
