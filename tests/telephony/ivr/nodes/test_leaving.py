"""`subflow`, `return`, `hangup`, `queue` and `ai_agent`."""

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path, said

SUBFLOW = node(
    "s", "subflow", {"flow": "flow_7"}, next="plain", branches={"verified": "v", "failed": "f"}
)


def test_a_subflow_comes_back_by_what_its_return_says() -> None:
    result = call(SUBFLOW, digits=["1234"])
    assert path(result) == ["s", "pin", "ok", "v"]
    assert [step.outcome for step in result.steps] == ["verified", "next", "verified", "end"]
    assert result.variables == {"tries": 3, "pin": "1234"}
    assert path(call(SUBFLOW)) == ["s", "pin", "no", "plain"]


def test_a_subflow_s_variables_are_only_what_is_not_set_yet() -> None:
    assert call(SUBFLOW, variables={"tries": 9}).variables["tries"] == 9


def test_a_subflow_that_is_gone_is_a_failure() -> None:
    gone = node("s", "subflow", {"flow": "flow_8"}, next="n", branches={"failed": "f"})
    result = call(gone)
    assert path(result) == ["s", "f"]
    assert first(result).reasons == ["flow_8 is not published"]
    assert path(call(node("s", "subflow", {"flow": "flow_8"}, next="n"))) == ["s", "n"]


def test_a_call_that_ends_in_a_subflow_leaves_the_node_that_waits() -> None:
    result = call(node("s", "subflow", {"flow": "flow_6"}, next="n"))
    assert [(step.node, step.outcome) for step in result.steps] == [("s", "end"), ("bye", "end")]


def test_return_in_the_first_flow_ends_the_call() -> None:
    result = call(node("r", "return", {"outcome": "x"}))
    assert (path(result), result.cause) == (["r"], "NORMAL_CLEARING")


@pytest.mark.parametrize(
    ("cause", "switch"),
    [("normal", "NORMAL_CLEARING"), ("busy", "USER_BUSY"), ("rejected", "CALL_REJECTED")],
)
def test_hanging_up_with_a_goodbye(cause: str, switch: str) -> None:
    result = call(node("h", "hangup", {"text": "Bye.", "cause": cause}))
    assert (said(result), result.cause) == (["Bye."], switch)


@pytest.mark.parametrize("outcome", ["next", "timeout", "full", "closed", "failed"])
def test_a_queue_comes_back_with_its_outcome(outcome: str) -> None:
    branches = {name: name for name in ("timeout", "full", "closed", "failed")}
    queue = node("q", "queue", {"queue": "queue_1", "priority": 5}, next="next", branches=branches)
    result = call(queue, handed_over={"q": [outcome]})
    assert path(result) == ["q", outcome]
    handed = {"what": "queue", "target": "queue_1", "priority": 5, "max_wait": None}
    assert first(result).did == [handed]


def test_an_assistant_gets_its_instructions_and_comes_back() -> None:
    agent = node(
        "a",
        "ai_agent",
        {"assistant": "asst_1", "instructions": "It is {{ caller.number }}."},
        next="ok",
        branches={"transfer": "t"},
    )
    assert path(call(agent, handed_over={"a": ["transfer"]})) == ["a", "t"]
    result = call(agent)
    assert first(result).did[0]["instructions"] == "It is +15555550123."
    assert path(result) == ["a", "ok"]
