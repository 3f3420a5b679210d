"""Runs the ingestion service."""

from services.ingestion.app import build
from services.ingestion.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("ingestion", Settings, build)
