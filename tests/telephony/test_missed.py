import string
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.missed import Ingress, MissedCall, forget, parse_missed

UUID_1 = "dd2300fe-7833-4ffe-90d2-c5b32b8883a5"
UUID_2 = "f83d7d38-44f5-4177-b687-7936ba49093a"
# Printed by FreeSWITCH 1.10.12 for `hash_dump db irisx_missed`.
DUMP = f"""\
D/irisx_missed_{UUID_2}/1|agent|1795301693547680|127.0.0.1||u1|u1|gw+x
D/irisx_missed_{UUID_1}/1|carrier|1795301684608612|127.0.0.2|carrier_7||+15550199|+15550100
"""

party = st.text(string.ascii_letters + string.digits + "+*#._-", max_size=64)
missed_calls = st.builds(
    MissedCall,
    uuid=st.uuids(),
    ingress=st.sampled_from(Ingress),
    received_at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
    source_ip=st.none() | st.ip_addresses().map(str),
    gateway=st.none() | st.from_regex(r"carrier_[0-9]{1,9}", fullmatch=True),
    username=st.none() | st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
    caller=st.none() | party.filter(bool),
    called=st.none() | party.filter(bool),
)


def note(call: MissedCall) -> str:
    """As the dialplan writes it and hash_dump prints it."""
    since = call.received_at - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    texts = (call.source_ip, call.gateway, call.username, call.caller, call.called)
    fields = ("1", call.ingress, str(microseconds), *(text or "" for text in texts))
    return f"D/irisx_missed_{call.uuid}/{'|'.join(fields)}\n"


def test_notes_are_read_oldest_first() -> None:
    assert parse_missed(DUMP) == [
        MissedCall(
            uuid=UUID(UUID_1),
            ingress=Ingress.CARRIER,
            received_at=datetime(2026, 11, 21, 22, 54, 44, 608612, tzinfo=UTC),
            source_ip="127.0.0.2",
            gateway="carrier_7",
            username=None,
            caller="+15550199",
            called="+15550100",
        ),
        MissedCall(
            uuid=UUID(UUID_2),
            ingress=Ingress.AGENT,
            received_at=datetime(2026, 11, 21, 22, 54, 53, 547680, tzinfo=UTC),
            source_ip="127.0.0.1",
            gateway=None,
            username="u1",
            caller="u1",
            called="gw+x",
        ),
    ]


def test_an_empty_memory_has_no_calls() -> None:
    assert parse_missed("") == []
    assert parse_missed("-ERR no reply\n") == []


def test_a_note_is_deleted_under_its_key() -> None:
    assert forget(UUID(UUID_1)) == f"hash delete/irisx_missed/{UUID_1}"


@given(st.lists(missed_calls, max_size=5))
def test_every_note_is_read_back(calls: list[MissedCall]) -> None:
    dump = "".join(note(call) for call in calls)
    assert parse_missed(dump) == sorted(calls, key=lambda call: call.received_at)


@given(missed_calls, st.lists(st.text() | st.just(f"D/irisx_missed_{UUID_1}/2|carrier|1")))
def test_other_lines_neither_hide_nor_add_a_note(call: MissedCall, others: list[str]) -> None:
    assert parse_missed("\n".join([*others, note(call), *others])) == [call]


@given(st.text())
def test_any_text_is_read_without_an_error(dump: str) -> None:
    assert parse_missed(dump) == []


@given(missed_calls, st.data())
def test_a_cut_note_is_no_call(call: MissedCall, data: st.DataObject) -> None:
    line = note(call)
    end = data.draw(st.integers(0, line.rindex("|")))
    assert parse_missed(line[:end]) == []
