"""Twenty calls a second, each answered, played to and hung up by its far end."""

from pathlib import Path

from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox

CALLS = 100


def test_twenty_calls_a_second(tmp_path: Path) -> None:
    """At speed 4, eighty a second of the wall clock are twenty of the switch's."""
    with (
        Sandbox(tmp_path, "--speed", "4") as sandbox,
        Client(sandbox.port, sandbox.password) as client,
    ):
        client.command("event plain BACKGROUND_JOB CHANNEL_PARK CHANNEL_HANGUP_COMPLETE")
        legs = [client.dial("+15555550100") for _ in range(CALLS)]
        for leg in legs:
            assert client.result(leg) == f"+OK {leg}\n"
        ended = [client.wait("CHANNEL_HANGUP_COMPLETE", leg, 30) for leg in legs]
        assert {event["Hangup-Cause"] for event in ended} == {"NORMAL_CLEARING"}
        durations = [int(event["variable_billmsec"]) for event in ended]
        assert min(durations) > 4900 and max(durations) < 7000
        assert client.api("show channels count") == "\n0 total.\n"
