"""Conversations: the messages with one address, as people work on them."""
