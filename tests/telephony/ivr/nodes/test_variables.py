"""`set_variable` and `send_sms`."""

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path


def test_values_are_rendered_in_order_and_keep_their_kinds() -> None:
    variables = {"a": "{{ n + 1 }}", "b": "{{ a }}!", "c": {"list": ["{{ n }}", 2]}, "d": None}
    result = call(node("s", "set_variable", {"variables": variables}), variables={"n": 1})
    assert first(result).changed == {
        "a": "2",
        "b": "2!",
        "c": {"list": ["1", 2]},
        "d": None,
    }


def test_a_variable_that_grows_too_large_is_a_failure() -> None:
    doubling = node(
        "s",
        "set_variable",
        {"variables": {"x": "{{ x ~ x }}"}},
        next="s",
        branches={"failed": "f"},
    )
    result = call(doubling, variables={"x": "0123456789"})
    assert path(result)[-1] == "f"
    assert len(result.variables["x"]) <= 4096  # type: ignore[arg-type]


def test_a_message_is_asked_for_by_an_event() -> None:
    sms = node("s", "send_sms", {"text": "Hi {{ n }}", "from": "+15555550100"}, next="ok")
    result = call(sms, variables={"n": 1})
    data = {"to": "+15555550123", "from": "+15555550100", "text": "Hi 1"}
    assert first(result).did == [{"what": "event", "type": "ivr.send_sms", "data": data}]
    assert path(result) == ["s", "ok"]


@pytest.mark.parametrize("caller", ["anonymous", "911", "+1555\r\nX"])
def test_who_has_no_number_gets_no_message(caller: str) -> None:
    sms = node("s", "send_sms", {"text": "Hi"}, next="ok", branches={"failed": "f"})
    result = call(sms, caller=caller)
    assert (path(result), first(result).did) == (["s", "f"], [])
