"""The embedded switch: an Event Socket server that behaves as FreeSWITCH 1.10 does.

It exists for a first run without FreeSWITCH, for CI and for customers' tests. It is a process of
its own (asyncio, no gevent) and shares no code with the engine that drives it.
"""
