"""Runs scoring."""

from services.scoring.app import build
from services.scoring.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("scoring", Settings, build)
