"""Voice assistants: what they are told to be, what they say, and their conversations."""
