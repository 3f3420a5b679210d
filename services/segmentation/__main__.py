"""Runs the segmentation service."""

from services.segmentation.app import build
from services.segmentation.settings import Settings
from shared.runtime.process import main

if __name__ == "__main__":
    main("segmentation", Settings, build)
