"""The engine: calls on FreeSWITCH nodes."""
