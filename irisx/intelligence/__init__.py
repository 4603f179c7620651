"""AI providers, knowledge bases, transcripts and translation."""
