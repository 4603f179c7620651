"""Answering-machine detection: who or what took the call, from its audio alone."""

from irisx.media.amd.detector import Cause, Detector, Result, Verdict
from irisx.media.amd.settings import AmdMode, Settings

__all__ = ["AmdMode", "Cause", "Detector", "Result", "Settings", "Verdict"]
