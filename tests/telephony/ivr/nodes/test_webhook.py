"""`webhook`."""

import json
from typing import Any

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path

URL = "https://example.com/"
BRANCHES = {"404": "none", "5xx": "down", "timeout": "late", "failed": "f"}


def hook(**config: Any) -> dict[str, Any]:
    return node("w", "webhook", {"url": URL, **config}, next="ok", branches=BRANCHES)


@pytest.mark.parametrize(
    ("status", "leads"),
    [
        (200, "ok"),
        (204, "ok"),
        (404, "none"),
        (500, "down"),
        (503, "down"),
        (403, "f"),
        (301, "f"),
        (None, "late"),
    ],
)
def test_the_status_decides(status: int | None, leads: str) -> None:
    result = call(hook(), webhooks={"w": [{"status": status}]})
    assert path(result) == ["w", leads]
    assert result.variables["http_status"] == status


def test_its_time_limit_cuts_the_retries_short() -> None:
    slow = hook(timeout=5, retries=3) | {"time_limit": 8}
    slow["branches"] = {**BRANCHES, "time_limit": "l"}
    result = call(slow, webhooks={"w": [{"status": None}]})
    assert (path(result), result.seconds) == (["w", "l"], 8)


def test_no_answer_in_the_script_is_a_failure() -> None:
    assert path(call(hook())) == ["w", "f"]


def test_parts_of_the_answer_become_variables() -> None:
    answer = {"customer": {"name": "Ann", "orders": [{"id": 7}, {"id": 8}]}}
    save = {
        "name": "customer.name",
        "second": "customer.orders.1.id",
        "third": "customer.orders.2.id",
        "deep": "customer.name.first",
    }
    result = call(hook(save=save), webhooks={"w": [{"json": answer}]})
    assert result.variables == {
        "name": "Ann",
        "second": 8,
        "third": None,
        "deep": None,
        "http_status": 200,
    }


def test_an_answer_that_is_too_large_fails_and_changes_nothing_more() -> None:
    result = call(hook(save={"x": "a"}), webhooks={"w": [{"json": {"a": "y" * 5000}}]})
    assert path(result) == ["w", "f"]
    assert "x" not in result.variables


def test_what_is_sent() -> None:
    config = {
        "url": URL + "{{ n }}",
        "body": {"who": "{{ caller.number }}", "list": ["{{ n }}", 1]},
    }
    [did] = first(call(hook(**config), variables={"n": 42})).did
    assert did["url"] == "https://example.com/42"
    assert json.loads(did["body"]) == {"who": "+15555550123", "list": ["42", 1]}
    [usual] = first(call(hook(), variables={"n": 42})).did
    sent = json.loads(usual["body"])
    assert (sent["variables"], sent["call"]["from"]) == ({"n": 42}, "+15555550123")
    [asked] = first(call(hook(method="GET"))).did
    assert (asked["method"], asked["body"]) == ("GET", None)


def test_answers_of_a_script_are_used_up_and_the_last_one_stays() -> None:
    again = node("w", "webhook", {"url": URL}, next="ok", branches={"5xx": "w", "failed": "f"})
    result = call(again, webhooks={"w": [{"status": 500}, {"status": 502}, {"status": 200}]})
    assert path(result) == ["w", "w", "w", "ok"]
