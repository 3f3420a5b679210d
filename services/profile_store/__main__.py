"""Runs the profile store."""

from services.profile_store.app import build
from services.profile_store.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("profile_store", Settings, build)
