"""Automatic call distribution: callers wait in queues, agents are rung."""
