"""The media process with everything that listens to calls in it."""

from irisx.intelligence.assistants import talk
from irisx.media import process


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    process.CONSUMERS[talk.NAME] = talk.Talk
    process.main()
