"""The simulator and the walk: how a call ends, and what an expectation finds."""

from typing import Any

import pytest

from irisx.telephony.ivr.script import Expectation, Script
from irisx.telephony.ivr.simulator import mismatches, simulate
from irisx.telephony.ivr.walk import MAX_DEPTH, MAX_STEPS, Version
from tests.telephony.ivr.documents import bye, flow, node, say
from tests.telephony.ivr.nodes.calling import call, first, path

ASK = node("ask", "gather", {"num_digits": 1}, branches={"1": "bye", "timeout": "hello"})


def test_a_flow_that_goes_round_in_circles_is_ended() -> None:
    result = call(say("a", next="b"), say("b", next="a"))
    assert len(result.steps) == MAX_STEPS
    assert result.cause == "EXCHANGE_ROUTING_ERROR"
    assert "round in circles" in result.steps[-1].reasons[-1]


def test_subflows_are_entered_so_deep_and_no_deeper() -> None:
    inner = Version(
        1, flow(node("s", "subflow", {"flow": "flow_1"}, branches={"failed": "bye"}), bye())
    )
    result = simulate(inner.flow, Script(), lambda flow_id: inner)
    assert len(result.steps) == MAX_DEPTH + 2
    assert all(step.outcome for step in result.steps)


def test_a_draft_that_leads_nowhere_ends_there() -> None:
    draft = flow(say("a", next="gone"))
    result = simulate(draft, Script(), lambda flow_id: None)
    assert (path(result), result.cause) == (["a"], "NORMAL_TEMPORARY_FAILURE")
    assert first(result).reasons == ["there is no node gone"]
    entry = flow(bye()).model_copy(update={"entry_point": "gone"})
    assert simulate(entry, Script(), lambda flow_id: None).steps == []


def test_time_passes_as_on_a_call() -> None:
    result = call(
        say("hello", "Hi.", next="ask"), ASK, bye(), digits=["", "1"], time="2026-02-17T12:00:00Z"
    )
    assert path(result) == ["hello", "ask", "hello", "ask", "bye"]
    seconds = [(step.at - first(result).at).total_seconds() for step in result.steps]
    assert seconds == pytest.approx([0, 0.7, 5.7, 6.4, 6.9])


MET: dict[str, Any] = {
    "path": ["hello", "ask", "bye"],
    "passes": ["hello", "bye"],
    "ends_at": "bye",
    "variables": {"digits": "1"},
    "hears": ["Hello", "Press"],
}


@pytest.mark.parametrize(
    ("expected", "fault"),
    [
        ({"path": ["hello", "bye"]}, "the path is hello → ask → bye, not hello → bye"),
        ({"passes": ["bye", "hello"]}, "does not pass bye → hello"),
        ({"ends_at": "ask"}, "it ends at bye, not at ask"),
        ({"variables": {"digits": "2"}}, "digits is '1', not '2'"),
        ({"variables": {"other": 1}}, "other is None, not 1"),
        ({"hears": ["Press", "Hello"]}, "what is said does not contain ['Press', 'Hello']"),
    ],
)
def test_an_expectation_that_is_not_met_says_how(expected: dict[str, Any], fault: str) -> None:
    result = call(
        say("hello", "Hello. Welcome.", next="ask"),
        ASK | {"config": {"text": "Press 1.", "num_digits": 1}},
        digits=["1"],
    )
    assert list(mismatches(result, Expectation.model_validate(MET))) == []
    [told] = mismatches(result, Expectation.model_validate(expected))
    assert fault in told
