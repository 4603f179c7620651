"""Answering-machine detection: who or what took the call, from its audio alone."""

from irisx.media.amd.detector import Cause, Detector, Result, Verdict
from irisx.media.amd.settings import Mode, Settings

__all__ = ["Cause", "Detector", "Mode", "Result", "Settings", "Verdict"]
