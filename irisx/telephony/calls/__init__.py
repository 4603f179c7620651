"""Calls: their state machine, routing, control, recording and recovery."""
