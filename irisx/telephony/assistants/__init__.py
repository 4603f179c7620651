"""Calls that a voice assistant talks on: what the engine does for a conversation.

The conversation runs in the media process (`irisx/intelligence/assistants/talk.py`), as the
consumer of a tap. The two meet in the tap's messages.
"""
