"""`record` and `voicemail`."""

from typing import Any

import pytest

from tests.telephony.ivr.documents import node
from tests.telephony.ivr.nodes.calling import call, first, path, said

BRANCHES = {"empty": "e", "failed": "f"}


@pytest.mark.parametrize("kind", ["record", "voicemail"])
@pytest.mark.parametrize(
    ("config", "spoken", "leads"),
    [
        ({}, 10, "ok"),
        ({}, 1, "e"),
        ({}, 0, "e"),
        ({"min_seconds": 0}, 1, "ok"),
        ({"min_seconds": 0}, 0, "e"),
        ({"max_seconds": 5}, 3600, "ok"),
        ({}, None, "f"),
    ],
)
def test_what_was_spoken_decides(
    kind: str, config: dict[str, Any], spoken: float | None, leads: str
) -> None:
    result = call(node("r", kind, config, next="ok", branches=BRANCHES), recordings={"r": [spoken]})
    assert path(result) == ["r", leads]
    variable = "recording" if kind == "record" else "voicemail"
    assert (result.variables[variable] is not None) is (leads == "ok")
    assert all(did["seconds"] <= config.get("max_seconds", 120) for did in first(result).did)


def test_without_branches_all_go_on() -> None:
    for spoken in (0, 10):
        assert path(call(node("r", "record", next="ok"), recordings={"r": [spoken]})) == ["r", "ok"]


def test_a_greeting_is_played_first_and_the_purpose_is_told() -> None:
    result = call(node("v", "voicemail", {"text": "Speak.", "mailbox": "sales"}))
    assert said(result) == ["Speak."]
    assert first(result).did[0]["purpose"] == "voicemail"


def test_a_caller_who_hangs_up_ends_the_flow() -> None:
    result = call(node("v", "voicemail", next="ok"), hangs_up_at="v")
    assert path(result) == ["v"]
    assert result.cause == "ORIGINATOR_CANCEL"
    assert first(result).outcome == "hung-up"
