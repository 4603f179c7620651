from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from irisx.intelligence import config as ai_config
from irisx.intelligence.transcripts.models import Transcript, TranscriptStatus
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.telephony.calls.models import Call, CallEvent, Recording, RecordingStatus
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant
from tests.api.client import ApiClient
from tests.telephony.bus_engine import BusEngine, serving
from tests.telephony.calls.rows import store_call

NOBODY = "CA" + "0" * 32
NUMBER = "+15550001000"


@pytest.fixture
def engine() -> Iterator[BusEngine]:
    with serving() as engine:
        yield engine


@pytest.fixture
def call(tenant: Tenant) -> Call:
    """An answered call of `tenant`."""
    return store_call(tenant)


def sid_of(call: Call) -> str:
    return call_sid(call.id)


# --- placing ----------------------------------------------------------------------------------


def test_the_specifications_example_is_accepted(client: ApiClient, number: PhoneNumber) -> None:
    created = client.post(
        "/v1/calls",
        {
            "to": "+15555559999",
            "from": NUMBER,
            "record": True,
            "amd_enabled": False,
            "metadata": {"customer_id": "123", "campaign": "summer_sale"},
        },
        status=201,
    )
    assert set(created) == {"sid", "status", "from", "to", "initiated_at"}
    assert (created["status"], created["from"], created["to"]) == (
        "initiated",
        NUMBER,
        "+15555559999",
    )
    assert datetime.fromisoformat(created["initiated_at"]) <= now()
    assert len(created["initiated_at"]) == len("2026-02-17T12:00:00.000Z")
    details = client.get(f"/v1/calls/{created['sid']}")
    assert details["metadata"] == {"customer_id": "123", "campaign": "summer_sale"}
    assert (details["direction"], details["record"]) == ("outbound", True)


def test_every_faulty_field_is_named(client: ApiClient, number: PhoneNumber) -> None:
    refused = client.post(
        "/v1/calls", {"to": "911", "record": "yes", "timeout": 1, "nonsense": 1}, status=400
    )
    assert refused["code"] == "VALIDATION_ERROR"
    assert {detail["field"] for detail in refused["details"]} == {
        "to",
        "record",
        "timeout",
        "nonsense",
    }
    assert any("emergency" in detail["message"] for detail in refused["details"])


@pytest.mark.parametrize("body", [None, [], "x", 5, {}, {"to": None}, {"to": ["+15555559999"]}])
def test_what_is_no_call_is_refused(client: ApiClient, body: Any) -> None:
    assert client.post("/v1/calls", body, status=400)["code"] == "VALIDATION_ERROR"


def test_a_barred_destination_names_the_setting(client: ApiClient, number: PhoneNumber) -> None:
    refused = client.post("/v1/calls", {"to": "+18765551234"}, status=403)
    assert refused["code"] == "DESTINATION_NOT_ALLOWED"
    assert refused["details"][0]["field"] == "allowed_countries"


def test_a_foreign_caller_id_is_refused(client: ApiClient, number: PhoneNumber) -> None:
    refused = client.post("/v1/calls", {"to": "+15555559999", "from": "+15559990000"}, status=400)
    assert [detail["field"] for detail in refused["details"]] == ["from"]


def test_machine_detection_is_asked_for_by_call(client: ApiClient, number: PhoneNumber) -> None:
    created = client.post("/v1/calls", {"to": "+15555559999", "amd_enabled": True}, status=201)
    details = client.get(f"/v1/calls/{created['sid']}")
    assert (details["amd_enabled"], details["amd"]) == (True, None)
    refused = client.post(
        "/v1/calls",
        {"to": "+15555559999", "amd": {"mode": "slow", "maximum_words": 0}},
        status=400,
    )
    assert {each["field"] for each in refused["details"]} == {"amd.mode", "amd.maximum_words"}


def test_a_full_tenant_is_told_which_cap(
    client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    tenant = make_tenant(max_concurrent_calls=1)
    with transaction() as session:
        session.add(PhoneNumber(number=NUMBER, tenant_id=tenant.id))
    client = client_for(tenant)
    client.post("/v1/calls", {"to": "+15555559999"}, status=201)
    refused = client.post("/v1/calls", {"to": "+15555559999"}, status=429)
    assert refused["code"] == "CONCURRENT_CALLS_EXCEEDED"


def test_a_test_key_calls_on_the_sandbox(
    client_for: Callable[..., ApiClient], tenant: Tenant, number: PhoneNumber
) -> None:
    client = client_for(tenant, test=True)
    created = client.post("/v1/calls", {"to": "+15555559999"}, status=201)
    assert client.get(f"/v1/calls/{created['sid']}")["sandbox"] is True


def test_an_idempotency_key_dials_once(client: ApiClient, number: PhoneNumber) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first, second = (
        client.post("/v1/calls", {"to": "+15555559999"}, status=201, headers=headers)
        for _ in range(2)
    )
    assert first == second
    assert client.get("/v1/calls")["data"]["pagination"]["total"] == 1


def test_call_creation_has_its_own_rate_limit(client: ApiClient, number: PhoneNumber) -> None:
    placed = client.request("POST", "/v1/calls", json={"to": "+15555559999"}, status=201)
    read = client.request("GET", "/v1/calls", status=200)
    limits = [int(answer.headers["X-RateLimit-Limit"]) for answer in (placed, read)]
    assert limits[0] * 10 == limits[1]


# --- reading ----------------------------------------------------------------------------------


def test_a_call_that_ended_has_the_specifications_fields(client: ApiClient, tenant: Tenant) -> None:
    answered = datetime(2026, 2, 17, 12, 0, 5, tzinfo=UTC)
    call = store_call(
        tenant,
        initiated_at=answered - timedelta(seconds=5),
        status=CallStatus.COMPLETED,
        answered_at=answered,
        ended_at=answered + timedelta(seconds=125),
        duration_ms=125_000,
        bill_seconds=125,
        reason="NORMAL_CLEARING",
        sip_status=200,
        hangup_by="remote",
    )
    details = client.get(f"/v1/calls/{sid_of(call)}")
    expected = {
        "sid": sid_of(call),
        "direction": "outbound",
        "from": NUMBER,
        "to": "+15555559999",
        "status": "completed",
        "duration": 125,
        "recording_url": None,
        "initiated_at": "2026-02-17T12:00:00.000Z",
        "answered_at": "2026-02-17T12:00:05.000Z",
        "ended_at": "2026-02-17T12:02:10.000Z",
        "reason": "NORMAL_CLEARING",
    }
    assert expected.items() <= details.items()


def test_a_call_has_no_duration_before_its_end_and_zero_without_an_answer(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    busy = store_call(tenant, status=CallStatus.BUSY, ended_at=now(), duration_ms=0)
    assert client.get(f"/v1/calls/{sid_of(call)}")["duration"] is None
    assert client.get(f"/v1/calls/{sid_of(busy)}")["duration"] == 0


READS = ["", "/events", "/recording", "/transcript"]


@pytest.mark.parametrize("part", READS)
def test_a_call_of_another_tenant_is_not_found(
    client: ApiClient, make_tenant: Callable[..., Tenant], part: str
) -> None:
    foreign = sid_of(store_call(make_tenant("Other")))
    for sid in (foreign, NOBODY, "CA1", "x", foreign.lower(), "%00"):
        refused = client.get(f"/v1/calls/{sid}{part}", status=404)
        assert refused["code"] == "NOT_FOUND"


def test_the_list_is_filtered_and_newest_first(client: ApiClient, tenant: Tenant) -> None:
    day = datetime(2026, 2, 17, tzinfo=UTC)
    sids = [
        sid_of(store_call(tenant, initiated_at=day + timedelta(hours=hours), **columns))
        for hours, columns in [
            (0, {"status": CallStatus.BUSY}),
            (12, {"direction": Direction.INBOUND}),
            (24, {"status": CallStatus.COMPLETED}),
        ]
    ]

    def listed(query: str = "") -> list[str]:
        data = client.get(f"/v1/calls{query}")["data"]
        assert data["pagination"]["total"] == len(data["calls"])
        return [call["sid"] for call in data["calls"]]

    assert listed() == sids[::-1]
    assert listed("?status=busy") == [sids[0]]
    assert listed("?direction=inbound") == [sids[1]]
    assert listed("?direction=outbound&status=completed") == [sids[2]]
    assert listed("?from_date=2026-02-18") == [sids[2]]
    assert listed("?to_date=2026-02-17") == [sids[1], sids[0]]
    assert listed("?from_date=2026-02-17T00:00:00.001Z&to_date=2026-02-17T23:00:00Z") == [sids[1]]


def test_another_tenants_calls_are_not_listed(
    client: ApiClient, make_tenant: Callable[..., Tenant]
) -> None:
    store_call(make_tenant("Other"))
    data = client.get("/v1/calls")["data"]
    assert data == {
        "calls": [],
        "pagination": {"limit": 50, "offset": 0, "total": 0, "next_cursor": None},
    }


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=ended", "status"),
        ("direction=up", "direction"),
        ("from_date=yesterday", "from_date"),
        ("to_date=2026-02-30", "to_date"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("cursor=forged", "cursor"),
        ("unknown=1", "unknown"),
    ],
)
def test_a_faulty_filter_is_named(client: ApiClient, query: str, field: str) -> None:
    refused = client.get(f"/v1/calls?{query}", status=400)
    assert [detail["field"] for detail in refused["details"]] == [field]


def test_pages_by_offset_and_by_cursor_show_every_call_once(
    client: ApiClient, tenant: Tenant
) -> None:
    moment = now()  # the same for all: the id decides the order
    stored = {sid_of(store_call(tenant, initiated_at=moment)) for _ in range(5)}
    by_offset = [
        call["sid"]
        for offset in (0, 2, 4)
        for call in client.get(f"/v1/calls?limit=2&offset={offset}")["data"]["calls"]
    ]
    by_cursor, cursor = [], ""
    for _ in range(3):
        data = client.get(f"/v1/calls?limit=2{cursor}")["data"]
        by_cursor += [call["sid"] for call in data["calls"]]
        cursor = f"&cursor={data['pagination']['next_cursor']}"
    assert cursor == "&cursor=None"
    assert by_cursor == by_offset
    assert set(by_cursor) == stored


def test_a_cursor_belongs_to_its_tenant_and_stands_alone(
    client: ApiClient, client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    other = make_tenant("Other")
    for _ in range(2):
        store_call(other)
    others = client_for(other)
    cursor = others.get("/v1/calls?limit=1")["data"]["pagination"]["next_cursor"]
    client.get(f"/v1/calls?cursor={cursor}", status=400)
    refused = others.get(f"/v1/calls?offset=1&cursor={cursor}", status=400)
    assert [detail["field"] for detail in refused["details"]] == ["offset"]


def test_the_timeline_is_in_order_with_offsets(client: ApiClient, call: Call) -> None:
    def line(key: str, milliseconds: float, type: str) -> CallEvent:
        at = call.initiated_at + timedelta(milliseconds=milliseconds)
        return CallEvent(call_id=call.id, key=key, occurred_at=at, type=type, data={"key": key})

    with transaction() as session:
        session.add_all(
            [
                line("b", 1234.5, "call.ringing"),
                line("a", -3, "call.initiated"),  # the switch's clock was behind
                line("c", 60_000, "call.answered"),
            ]
        )
    timeline = client.get(f"/v1/calls/{sid_of(call)}/events")
    assert timeline["sid"] == sid_of(call)
    assert [(event["type"], event["offset_ms"]) for event in timeline["events"]] == [
        ("call.initiated", 0),
        ("call.ringing", 1234),
        ("call.answered", 60_000),
    ]
    assert timeline["events"][0]["data"] == {"key": "a"}


def test_a_call_without_events_has_an_empty_timeline(client: ApiClient, call: Call) -> None:
    assert client.get(f"/v1/calls/{sid_of(call)}/events")["events"] == []


# --- recording and transcript -----------------------------------------------------------------


def add_recording(tenant: Tenant, call: Call, **columns: Any) -> Recording:
    defaults = {"status": RecordingStatus.COMPLETED, "location": "file:a.wav"}
    with transaction() as session:
        recording = Recording(
            tenant_id=tenant.id, call_id=call.id, path=f"{call.id}.wav", **defaults | columns
        )
        session.add(recording)
    return recording


def test_a_recorded_call_has_a_link_everywhere(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    recording = add_recording(tenant, call, duration_ms=1900, size_bytes=64_000)
    found = client.get(f"/v1/calls/{sid_of(call)}/recording")
    link = f"/v1/recordings/{recording.id}/download?"
    assert link in found.pop("recording_url")
    assert found == {
        "sid": sid_of(call),
        "recording_id": recording.id,
        "recording_status": "completed",
        "recording_duration_seconds": 2,
        "recording_size_bytes": 64_000,
    }
    assert link in client.get(f"/v1/calls/{sid_of(call)}")["recording_url"]
    assert link in client.get("/v1/calls")["data"]["calls"][0]["recording_url"]


def test_a_recording_under_way_has_no_link_yet(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    add_recording(tenant, call, status=RecordingStatus.RECORDING)
    found = client.get(f"/v1/calls/{sid_of(call)}/recording")
    assert (found["recording_status"], found["recording_url"]) == ("recording", None)
    assert client.get(f"/v1/calls/{sid_of(call)}")["recording_url"] is None


def test_without_a_recording_there_is_nothing_to_get(client: ApiClient, call: Call) -> None:
    client.get(f"/v1/calls/{sid_of(call)}/recording", status=404)
    refused = client.get(f"/v1/calls/{sid_of(call)}/transcript", status=404)
    assert refused["code"] == "TRANSCRIPT_NOT_AVAILABLE"


def test_without_a_recognizer_the_missing_setting_is_told(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    add_recording(tenant, call)
    refused = client.get(f"/v1/calls/{sid_of(call)}/transcript", status=503)
    assert refused["code"] == "AI_NOT_CONFIGURED"
    assert "IRISX_WHISPER_MODEL" in refused["message"]


def test_a_recording_under_way_has_no_transcript_yet(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    add_recording(tenant, call, status=RecordingStatus.RECORDING)
    refused = client.get(f"/v1/calls/{sid_of(call)}/transcript", status=404)
    assert refused["code"] == "TRANSCRIPT_NOT_AVAILABLE"


def test_the_first_look_asks_for_a_transcript(
    client: ApiClient, tenant: Tenant, call: Call
) -> None:
    recording = add_recording(tenant, call)
    fields = {"base_url": "https://8.8.8.8/v1", "transcription_model": "t"}
    ai_config.change(SYSTEM, tenant.id, fields)
    path = f"/v1/calls/{sid_of(call)}/transcript"
    first = client.get(path)
    assert (first["status"], first["text"], first["segments"]) == ("queued", None, [])
    word = {"text": "Hello.", "start_ms": 10, "end_ms": 300, "confidence": 0.9}
    segment = {"speaker": "customer", "words": [word], **word}
    with transaction() as session:
        row = session.query(Transcript).one()
        assert (row.call_id, row.recording_id) == (call.id, recording.id)
        row.status = TranscriptStatus.COMPLETED
        row.text, row.segments, row.confidence = "Customer: Hello.", [segment], 0.9
    done = client.get(path)
    assert (done["status"], done["text"], done["segments"]) == (
        "completed",
        "Customer: Hello.",
        [segment],
    )
