"""The line that a channel leaves in the switch when it is gone."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.calls.ended import REALM, hangup_side, parse_ended
from irisx.telephony.esl.commands import END_HOOK

_CALL = UUID("68ab1adf-9f9a-4c8e-a4c1-81aae82c2137")


def line(uuid: UUID = _CALL, **fields: str) -> str:
    """As the switch writes it: END_HOOK with the channel's variables in place."""
    values = {
        "uuid": str(uuid),
        "hangup_cause": "NORMAL_CLEARING",
        "progress_uepoch": "1795302490011080",
        "answer_uepoch": "1795302490500000",
        "end_uepoch": "1795302492011083",
        "sip_term_status": "200",
        "sip_hangup_disposition": "recv_bye",
        "irisx_call_id": str(uuid),
        "irisx_tenant_id": "7",
        "irisx_direction": "outbound",
        "irisx_initiated_at": "1795302490005370",
        "irisx_campaign": "",
        **fields,
    }
    text = END_HOOK.removeprefix(f"hash::insert/{REALM}/")
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    text = text.replace("${progress_media_uepoch}", "0")
    return f"D/{REALM}_{text}"


def test_the_hooks_line_is_read_whole() -> None:
    (end,) = parse_ended(line())
    assert end.uuid == end.call_id == _CALL
    assert (end.cause, end.sip_status, end.hangup_by, end.tenant_id) == (
        "NORMAL_CLEARING",
        200,
        "remote",
        7,
    )
    assert end.duration_ms == 1511
    assert end.initiated_at is not None and end.initiated_at.microsecond == 5370


def test_a_campaign_s_call_tells_how_far_it_had_come() -> None:
    (end,) = parse_ended(line(irisx_campaign="dropped"))
    assert end.campaign == "dropped"
    (end,) = parse_ended(line().rpartition("|")[0])  # of a version that did not tell it
    assert end.campaign is None and end.call_id == _CALL


def test_an_unanswered_end_has_no_duration() -> None:
    (end,) = parse_ended(line(answer_uepoch="0", hangup_cause="USER_BUSY"))
    assert end.answered_at is None and end.duration_ms is None


def test_a_leg_that_is_no_call_of_ours_is_read_too() -> None:
    empty = {"irisx_call_id": "", "irisx_tenant_id": "", "irisx_direction": ""}
    (end,) = parse_ended(line(**empty, irisx_initiated_at="", sip_term_status=""))
    assert end.call_id is None and end.sip_status is None


def test_every_line_of_a_dump_counts() -> None:
    uuids = [uuid4() for _ in range(3)]
    dump = "\n".join(["L/limit/1/2/3/4", *map(line, uuids), "+OK", ""])
    assert [end.uuid for end in parse_ended(dump)] == uuids


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_ended(text)


@given(st.sampled_from(["answer_uepoch", "end_uepoch", "irisx_tenant_id"]), st.text())
def test_a_field_that_is_nonsense_loses_its_line_only(field: str, value: str) -> None:
    dump = f"{line(**{field: value})}\n{line(uuid4())}"
    assert len(parse_ended(dump)) >= 1


def test_who_hung_up() -> None:
    assert hangup_side("recv_bye") == hangup_side("recv_cancel") == "remote"
    assert hangup_side("send_bye") == "irisx"
    assert hangup_side("") is hangup_side(None) is None
