from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.esl.errors import WireError
from irisx.telephony.esl.wire import MAX_BODY_BYTES, MAX_HEAD_BYTES, Decoder, Event, Frame
from tests.telephony.esl.scripted_switch import CHANNEL, OTHER, api_response, event, head, reply

STREAM = b"".join(
    (
        head(Content_Type="auth/request"),
        reply("+OK accepted"),
        event({"Event-Name": "CHANNEL_ANSWER", "Unique-ID": CHANNEL, "Caller-ID": "Zoë: ü\nx"}),
        api_response("+OK\n\nK: v\n"),
        event({"Event-Name": "BACKGROUND_JOB", "Job-UUID": OTHER}, b"+OK " + CHANNEL.encode()),
        head(Content_Type="text/disconnect-notice", Content_Length=7) + b"Bye.\n\n\n",
    )
)


def seen(frames: list[Frame]) -> list[tuple[dict[str, str], bytes]]:
    return [(frame.headers, frame.body) for frame in frames]


def only_event(data: bytes) -> Event:
    [frame] = Decoder().feed(data)
    assert frame.content_type == "text/event-plain"
    return Event(frame.body)


def test_several_frames_in_one_feed():
    frames = Decoder().feed(STREAM)
    assert [frame.content_type for frame in frames] == [
        "auth/request",
        "command/reply",
        "text/event-plain",
        "api/response",
        "text/event-plain",
        "text/disconnect-notice",
    ]
    assert frames[3].text == "+OK\n\nK: v\n"


def test_frames_cut_at_every_byte():
    whole = seen(Decoder().feed(STREAM))
    for cut in range(1, len(STREAM)):
        decoder = Decoder()
        frames = decoder.feed(STREAM[:cut]) + decoder.feed(STREAM[cut:])
        assert seen(frames) == whole, cut
        assert decoder.buffered == 0


def test_empty_lines_before_a_head_mean_nothing():
    assert seen(Decoder().feed(b"\n\n\n" + reply("+OK"))) == seen(Decoder().feed(reply("+OK")))


def test_one_byte_at_a_time():
    decoder = Decoder()
    frames = [frame for byte in STREAM for frame in decoder.feed(bytes([byte]))]
    assert seen(frames) == seen(Decoder().feed(STREAM))


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_any_cuts(cuts: list[int]):
    edges = [0, *sorted(cuts), len(STREAM)]
    decoder = Decoder()
    frames = []
    for start, end in pairwise(edges):
        frames += decoder.feed(STREAM[start:end])
    assert seen(frames) == seen(Decoder().feed(STREAM))


# On the wire an empty value and the word that FreeSWITCH writes for it are one and the same.
VALUES = st.text().filter(lambda value: value != "_undef_")
NAMES = st.from_regex(r"[A-Za-z_\-]{1,20}", fullmatch=True)


@given(st.dictionaries(NAMES, VALUES, max_size=20), st.binary(max_size=200))
def test_what_the_switch_encodes_comes_back(headers: dict[str, str], body: bytes):
    headers = {"Event-Name": "CUSTOM", **headers}
    headers.pop("Content-Length", None)
    got = only_event(event(headers, body))
    assert {name: got[name] for name in headers} == headers
    assert got.raw_body == body


@given(st.binary(max_size=500))
def test_any_bytes_are_frames_or_a_wire_error(data: bytes):
    try:
        frames = Decoder().feed(data)
    except WireError:
        return
    for frame in frames:
        got = Event(frame.body)
        assert isinstance(got.body, str)
        assert {name: got[name] for name in got}.keys() == set(got)
        assert got.sequence >= 0


@given(st.binary(max_size=300))
def test_any_event_block_is_read(block: bytes):
    got = Event(block)
    assert all(isinstance(got[name], str) and isinstance(got.raw(name), bytes) for name in got)
    assert len(got) == len(list(got))
    assert isinstance(got.name, str) and isinstance(got.body, str)


def test_event_properties():
    got = only_event(
        event(
            {
                "Event-Name": "CUSTOM",
                "Event-Subclass": "sofia::register",
                "Event-Date-Timestamp": "1771329600123456",
                "Event-Sequence": "4711",
                "Unique-ID": CHANNEL,
                "variable_irisx_call_id": "7",
                "variable_empty": "",
            }
        )
    )
    assert got.name == "sofia::register"
    assert got.sequence == 4711
    assert got.uuid == CHANNEL
    assert got.timestamp == datetime(2026, 2, 17, 12, 0, 0, 123456, tzinfo=UTC)
    assert got.variable("irisx_call_id") == "7"
    assert got.variable("empty") == ""
    assert got.variable("missing") is None
    assert got.get("missing", "x") == "x"
    assert "Unique-ID" in got and "missing" not in got
    with pytest.raises(KeyError):
        got["missing"]


def test_a_callers_name_cannot_add_or_replace_headers():
    name = f"evil\nUnique-ID: {OTHER}\nEvent-Name: CHANNEL_HANGUP_COMPLETE"
    got = only_event(
        event({"Caller-Caller-ID-Name": name, "Event-Name": "CHANNEL_PARK", "Unique-ID": CHANNEL})
    )
    assert (got.name, got.uuid) == ("CHANNEL_PARK", CHANNEL)
    assert got["Caller-Caller-ID-Name"] == name


def test_the_first_of_equal_headers_wins():
    assert Event(b"Unique-ID: a\nUnique-ID: b\n\n").uuid == "a"
    assert Decoder().feed(b"Reply-Text: a\nReply-Text: b\n\n")[0].headers["Reply-Text"] == "a"


def test_a_body_is_never_read_as_headers():
    forged = f"+OK\nEvent-Name: CHANNEL_PARK\nUnique-ID: {OTHER}\n\nK: v".encode()
    got = only_event(event({"Event-Name": "BACKGROUND_JOB"}, forged))
    assert got.name == "BACKGROUND_JOB"
    assert got.uuid is None and "K" not in got
    assert got["Content-Length"] == str(len(forged))
    assert got.raw_body == forged


def test_garbage_lines_are_ignored():
    got = Event(b"rubbish\nEvent-Name: X\nmore rubbish\n: \n=\n\n")
    assert got.name == "X"
    assert set(got) == {"Event-Name", ""}


def test_bytes_that_are_not_utf_8_survive():
    got = Event(b"Name: %E9t%E9\nRaw: \xe9\n\n")
    assert got["Name"] == "�t�"
    assert got.raw("Name") == b"\xe9t\xe9"
    assert (got["Raw"], got.raw("Raw")) == ("�", b"\xe9")
    assert Event(b"Content-Length: 3\n\nR\xe9l").body == "R�l"
    assert Decoder().feed(api_response(b"R\xe9"))[0].text == "R�"


def test_a_megabyte_event_in_pieces():
    value = "x" * 1_000_000
    data = event({"Event-Name": "CUSTOM", "variable_big": value}, quote(value).encode())
    decoder = Decoder()
    frames = []
    for start in range(0, len(data), 65536):
        frames += decoder.feed(data[start : start + 65536])
    got = Event(frames[0].body)
    assert got.variable("big") == value == got.body


@pytest.mark.parametrize(
    "length", ["-1", "+1", "1e3", "", " 7", "1_0", "٣", "9" * 30, str(MAX_BODY_BYTES + 1), "x"]
)
def test_an_absurd_content_length_ends_the_stream(length: str):
    with pytest.raises(WireError):
        Decoder().feed(f"Content-Type: api/response\nContent-Length: {length}\n\n".encode())


def test_an_absurd_inner_content_length_harms_nobody():
    assert Event(b"Event-Name: X\nContent-Length: -5\n\nabc").body == "abc"
    assert Event(b"Event-Name: X\nContent-Length: 99\n\nabc").body == "abc"


def test_a_head_that_never_ends_is_bounded():
    decoder = Decoder()
    with pytest.raises(WireError):
        for _ in range(MAX_HEAD_BYTES // 1000 + 2):
            decoder.feed(b"A: " + b"b" * 996 + b"\n")
    assert decoder.buffered <= MAX_HEAD_BYTES + 1000
