"""Messages of every channel: one pipeline, one message log, contacts and conversations.

`channels/__init__.py` says how a channel plugs in.
"""
