"""Rules: messages that follow missed and ended calls."""
