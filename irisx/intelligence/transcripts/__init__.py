"""What was said in recorded calls."""
