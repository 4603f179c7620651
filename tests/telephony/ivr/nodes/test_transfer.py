"""`transfer`."""

import pytest

from tests.telephony.ivr.documents import Document, node
from tests.telephony.ivr.nodes.calling import call, first, path

NUMBER = {"type": "number", "to": "+15555550100"}
AGENT = {"type": "agent", "id": "sip_3"}
BRANCHES = {"busy": "b", "no-answer": "n", "failed": "f", "full": "l"}


def transfer(*targets: Document, branches: dict[str, str] = BRANCHES, **config: str) -> Document:
    return node("t", "transfer", {"targets": [*targets], **config}, next="ok", branches=branches)


@pytest.mark.parametrize(
    ("outcome", "leads"),
    [("completed", "ok"), ("busy", "b"), ("no-answer", "n"), ("failed", "f")],
)
def test_every_outcome_has_its_branch(outcome: str, leads: str) -> None:
    assert path(call(transfer(NUMBER), transfers={"t": [outcome]})) == ["t", leads]


def test_one_branch_may_serve_all_failures() -> None:
    one = transfer(NUMBER, branches={"failed": "f"})
    for outcome in ("busy", "no-answer", "failed"):
        assert path(call(one, transfers={"t": [outcome]})) == ["t", "f"]


def test_targets_are_rung_in_order_as_rendered() -> None:
    template = {"type": "number", "to": "{{ owner }}"}
    step = first(call(transfer(template, AGENT), variables={"owner": "+15555550177"}))
    [did] = step.did
    assert did["targets"] == [{"type": "number", "to": "+15555550177"}, AGENT]


@pytest.mark.parametrize("owner", ["911", "sip:x@y", "", "+1555 0177", "${system(id)}"])
def test_a_rendered_name_that_is_none_is_left_out(owner: str) -> None:
    template = {"type": "number", "to": "{{ owner }}"}
    step = first(call(transfer(template, AGENT), variables={"owner": owner}))
    assert step.did[0]["targets"] == [AGENT]
    nobody = call(transfer(template), variables={"owner": owner})
    assert first(nobody).did == []
    assert path(nobody) == ["t", "f"]


def test_a_flow_as_the_last_target_takes_the_call() -> None:
    last = {"type": "flow", "id": "flow_7"}
    result = call(transfer(AGENT, last), transfers={"t": ["busy"]}, digits=["1234"])
    assert path(result) == ["t", "pin", "ok"]
    assert result.cause == "NORMAL_CLEARING"
    assert path(call(transfer(AGENT, last))) == ["t", "ok"]
    gone = {"type": "flow", "id": "flow_8"}
    assert path(call(transfer(gone))) == ["t", "f"]


def test_a_queue_as_the_last_target_is_handed_the_call() -> None:
    queue = {"type": "queue", "id": "queue_1"}
    result = call(transfer(queue), handed_over={"t": ["full"]})
    assert path(result) == ["t", "l"]
    assert first(result).did == [{"what": "queue", "target": "queue_1"}]
