"""The sandbox plays every scenario exactly as FreeSWITCH 1.10.12 did when it was recorded.

Each leg's events are compared in their order; how the events of different legs interleave is a
race in FreeSWITCH too. `record_golden.py` records anew.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import Client
from tests.sandbox.process import Sandbox
from tests.sandbox.scenarios import SCENARIOS, Stage, header_names

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def stage(sandbox: Sandbox, recordings: Path) -> Iterator[Stage]:
    with Client(sandbox.port, sandbox.password) as client:
        yield Stage(client, recordings)
        client.api("hupall")


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sandbox_does_what_freeswitch_did(name: str, stage: Stage) -> None:
    SCENARIOS[name](stage)
    trace = stage.trace()
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    assert trace["replies"] == golden.pop("replies")
    assert trace["jobs"] == golden.pop("jobs")
    for leg, events in golden.items():
        assert lines(trace[leg]) == lines(events), f"leg {leg}"


def lines(events: list[object]) -> list[str]:
    """One string an event, so that pytest's difference is readable."""
    return [json.dumps(event, sort_keys=True) for event in events]


def test_no_event_lacks_a_header_of_freeswitch(stage: Stage) -> None:
    for name in ("bridged_and_parked_after", "digits_gathered", "recorded", "held"):
        SCENARIOS[name](stage)
    ours = header_names(stage.client.events)
    golden = json.loads((GOLDEN / "headers.json").read_text())
    missing = {
        event: sorted(set(golden[event]) - set(headers))
        for event, headers in ours.items()
        if event in golden
    }
    assert {event: headers for event, headers in missing.items() if headers} == {}
