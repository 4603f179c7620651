"""The branches of IVR nodes that the calls of test_ivr.py do not take."""

from datetime import timedelta

import pytest

from irisx.kernel.clock import now
from irisx.settings import get_settings
from tests.contract import acd
from tests.contract.rig import Rig
from tests.contract.test_ivr import call_in, ended, node, pause, silence
from tests.receiver import Answer, Received, receiving

CLOSED = {"time_zone": "UTC", "weekly": {"mon": []}}
TODAY = {"date": f"{now():%m-%d}"}
TOMORROW = {"date": f"{now() + timedelta(days=1):%m-%d}"}  # a test may run over midnight


def _answer(request: Received) -> Answer:
    if request.path == "/late":
        return Answer(200, after=5.0)
    return Answer(int(request.path.lstrip("/")))


def test_what_decides_without_the_caller(line: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    never = [{"when": {"value": "caller.number", "is": "equal", "to": "x"}, "branch": "bad"}]
    with receiving(_answer) as server:

        def web(id: str, path: str, branch: str, then: str) -> dict[str, object]:
            config = {"url": f"{server.url}{path}", "timeout": 0.5}
            return node(id, "webhook", config, next="bad", branches={branch: then, "failed": "bad"})

        call_id = call_in(
            line,
            node("if", "condition", {"cases": never}, branches={"default": "closed", "bad": "bad"}),
            node("closed", "hours", CLOSED, branches={"closed": "holiday", "open": "bad"}),
            node(
                "holiday",
                "hours",
                {**CLOSED, "holidays": [TODAY, TOMORROW]},
                branches={"holiday": "unsaid", "open": "bad", "closed": "bad"},
            ),
            node("unsaid", "play", {"text": "{{ nobody }}"}, branches={"failed": "sub"}),
            node("sub", "subflow", {"flow": "flow_999"}, next="bad", branches={"failed": "sms"}),
            node(
                "sms",
                "send_sms",
                {"to": "{{ call.sid }}", "text": "Hello"},
                next="bad",
                branches={"failed": "missing"},
            ),
            web("missing", "/404", "404", "refused"),
            web("refused", "/403", "4xx", "broken"),
            node(
                "broken",
                "webhook",
                {"url": f"{server.url}/500"},
                next="bad",
                branches={"failed": "late"},
            ),
            web("late", "/late", "timeout", "talk"),
            node(
                "talk",
                "ai_agent",
                {"assistant": "asst_999"},
                next="bad",
                branches={"transfer": "bad", "failed": "bye"},
            ),
            node("bye", "hangup"),
            pause("bad", 20),
        )
        assert dict(ended(line, call_id)) == {
            "if": "default",
            "closed": "closed",
            "holiday": "holiday",
            "unsaid": "failed",
            "sub": "failed",
            "sms": "failed",
            "missing": "404",
            "refused": "4xx",
            "broken": "failed",
            "late": "timeout",
            "talk": "failed",
            "bye": "end",
        }


def test_a_menu_that_is_answered_wrongly_and_not_at_all(line: Rig) -> None:
    def menu(id: str, **then: str) -> dict[str, object]:
        config = {"options": {"1": "sales"}, "timeout": 2, "attempts": 1, "prompts": [silence(100)]}
        branches = {"1": "bad", "timeout": "bad", "invalid": "bad", **then}
        return node(id, "menu", config, branches=branches)

    call_id = call_in(
        line, menu("a", invalid="b"), menu("b", timeout="bye"), node("bye", "hangup"), digits="7"
    )
    assert ended(line, call_id) == [("a", "invalid"), ("b", "timeout"), ("bye", "end")]


@pytest.mark.parametrize("type", ["record", "voicemail"])
def test_nothing_was_said(line: Rig, type: str) -> None:
    config = {"prompts": [silence(100)], "silence_seconds": 0, "min_seconds": 10}
    leave = node("leave", type, config, branches={"empty": "bye"})
    call_id = call_in(line, leave, node("bye", "hangup"), digits="   #")
    assert ended(line, call_id) == [("leave", "empty"), ("bye", "end")]


def test_a_queue_that_is_not_waited_in_to_the_end(line: Rig) -> None:
    kinds = {
        "closed": {"hours": CLOSED},
        "failed": {"no_agents_seconds": 0},
        "full": {"max_length": 1},
        "timeout": {},
        "exit": {"exit_key": "0"},
        "callback": {"callback_key": "1"},
    }
    nodes, outcomes, queues = [], [*kinds, "bye"], {}
    for place, (outcome, options) in enumerate(kinds.items()):
        queues[outcome] = acd.queue(line, number=f"+1555000301{place}", options=options)
        branches = dict.fromkeys(("timeout", "full", "closed", "failed", "exit", "callback"), "bad")
        branches[outcome] = outcomes[place + 1]
        config = {"queue": f"queue_{queues[outcome]}", "max_wait": 5}
        nodes.append(node(outcome, "queue", config, next="bad", branches=branches))
    line.call_in("+15550003012", caller="+15550009001", hold_ms=60_000)
    first = acd.wait_record(queues["full"], "waiting")
    call_id = call_in(
        line, *nodes, node("bye", "hangup"), pause("bad", 20), digits="       0111", hold_ms=15_000
    )
    assert ended(line, call_id, 30) == [*((name, name) for name in kinds), ("bye", "end")]
    line.command(first.call_id, "end")
    acd.wait_record(queues["full"], "abandoned")
