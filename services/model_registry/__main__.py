"""Runs the model registry."""

from services.model_registry.app import build
from services.model_registry.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("model_registry", Settings, build)
