"""Agent scripts: what an agent says, step by step, and which way a conversation took."""
