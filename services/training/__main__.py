"""Runs the training service."""

from services.training.app import build
from services.training.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("training", Settings, build)
