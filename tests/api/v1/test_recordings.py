"""`/v1/recordings`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from irisx.kernel import storage
from irisx.kernel.db import transaction
from irisx.kernel.ids import call_sid
from irisx.settings import get_settings
from irisx.telephony.calls import recordings
from irisx.telephony.calls.models import Call, Recording, RecordingStatus
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient

SOUND = b"RIFF" + bytes(range(256)) * 4


@pytest.fixture(autouse=True)
def recordings_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("IRISX_RECORDINGS_DIR", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def recorded(tenant: Tenant, recordings_dir: Path) -> Callable[..., Recording]:
    def make(
        to: str = "+15555559999",
        status: RecordingStatus = RecordingStatus.COMPLETED,
        at: datetime = datetime(2026, 2, 17, 12, tzinfo=UTC),
        of: Tenant = tenant,
        **columns: object,
    ) -> Recording:
        call_id = uuid4()
        call = Call(
            id=call_id,
            initiated_at=at,
            tenant_id=of.id,
            direction=Direction.OUTBOUND,
            status=CallStatus.COMPLETED,
            from_number="+15555551234",
            to_number=to,
        )
        path = recordings_dir / f"{call_id}.wav"
        path.write_bytes(SOUND)
        row = Recording(
            tenant_id=of.id,
            call_id=call_id,
            path=path.name,
            status=status,
            location=f"file://{path}" if status is RecordingStatus.COMPLETED else None,
            duration_ms=125_400,
            size_bytes=len(SOUND),
            created_at=at,
            **columns,
        )
        with transaction() as session:
            session.add_all([call, row])
        return row

    return make


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_a_recording_has_the_specification_s_fields(client: ApiClient, recorded) -> None:
    row = recorded(transcription_text="Hello...", transcription_confidence=0.95)
    data = client.get("/v1/recordings")["data"]
    (shown,) = data["recordings"]
    url = shown.pop("recording_url")
    assert f"/v1/recordings/{row.id}/download?" in url
    assert shown == {
        "id": row.id,
        "call_sid": call_sid(row.call_id),
        "call_uuid": str(row.call_id),
        "from_number": "+15555551234",
        "to_number": "+15555559999",
        "direction": "outbound",
        "call_status": "completed",
        "recording_status": "completed",
        "recording_duration_seconds": 125,
        "recording_size_bytes": len(SOUND),
        "transcription_text": "Hello...",
        "transcription_confidence": 0.95,
        "agent_name": None,
        "failure_reason": None,
        "created_at": "2026-02-17T12:00:00.000Z",
    }
    assert data["pagination"] == {"page": 1, "limit": 25, "total": 1, "totalPages": 1}
    single = client.get(f"/v1/recordings/{row.id}")["data"]
    assert single["call_sid"] == shown["call_sid"]


def test_pages_are_newest_first(client: ApiClient, recorded) -> None:
    rows = [recorded() for _ in range(5)]
    data = client.get("/v1/recordings?page=2&limit=2")["data"]
    assert [shown["id"] for shown in data["recordings"]] == [rows[2].id, rows[1].id]
    assert data["pagination"] == {"page": 2, "limit": 2, "total": 5, "totalPages": 3}
    client.get("/v1/recordings?limit=101", status=400)
    client.get("/v1/recordings?page=0", status=400)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=5555550001", ["early"]),
        ("search=%2B15555550002", ["late"]),
        ("search=1234", ["late", "early"]),
        ("search=777", []),
        ("startDate=2026-02-02", ["late"]),
        ("endDate=2026-02-01", ["early"]),
        ("startDate=2026-02-01T10:00:00Z&endDate=2026-02-03", ["late", "early"]),
        ("status=completed", ["late", "early"]),
        ("status=failed", ["failed"]),
        ("status=deleted", []),
    ],
)
def test_filters(client: ApiClient, recorded, query: str, found: list[str]) -> None:
    rows = {
        "early": recorded("+15555550001", at=datetime(2026, 2, 1, 12, tzinfo=UTC)),
        "late": recorded("+15555550002", at=datetime(2026, 2, 3, 12, tzinfo=UTC)),
    }
    if "failed" in query:
        rows["failed"] = recorded(status=RecordingStatus.FAILED, reason="no file")
    data = client.get(f"/v1/recordings?{query}")["data"]
    assert [shown["id"] for shown in data["recordings"]] == [rows[name].id for name in found]
    assert data["pagination"]["total"] == len(found)


@pytest.mark.parametrize("query", ["status=lost", "startDate=soon", "search=%25' OR 1=1", "x=1"])
def test_a_faulty_filter_is_named(client: ApiClient, query: str) -> None:
    fault = client.get(f"/v1/recordings?{query}", status=400)
    assert fault["details"][0]["field"] == query.partition("=")[0]


def test_statistics_beat_an_id_and_count_what_there_is(client: ApiClient, recorded) -> None:
    empty = {"totalRecordings": 0, "totalDuration": 0, "totalSize": 0, "transcribedCount": 0}
    assert client.get("/v1/recordings/stats")["data"] == empty
    recorded(transcription_text="Hello")
    recorded()
    recorded(status=RecordingStatus.FAILED)
    assert client.get("/v1/recordings/stats")["data"] == {
        "totalRecordings": 2,
        "totalDuration": 251,
        "totalSize": 2 * len(SOUND),
        "transcribedCount": 1,
    }


def test_a_link_gives_the_sound_without_a_key_and_in_ranges(
    client: ApiClient, anonymous: ApiClient, recorded
) -> None:
    row = recorded()
    link = path_of(client.get(f"/v1/recordings/{row.id}")["data"]["recording_url"])
    whole = anonymous.request("GET", link)
    assert (whole.status_code, whole.mimetype, whole.data) == (200, "audio/wav", SOUND)
    part = anonymous.request("GET", link, headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.data) == (206, SOUND[4:8])
    assert part.headers["Content-Range"] == f"bytes 4-7/{len(SOUND)}"
    anonymous.get(link, headers={"Range": "bytes=99999-"}, status=416)


def test_a_link_to_an_object_storage_is_a_redirect(
    anonymous: ApiClient, recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("IRISX_RECORDINGS_URL", "s3://calls?endpoint=http://s3.example&region=eu")
    get_settings.cache_clear()
    storage._s3.cache_clear()
    row = recorded()
    with transaction() as session:
        session.get_one(Recording, row.id).location = "s3://calls/2026/CA1-1.wav"
    answer = anonymous.request("GET", path_of(recordings.download_url(row.id)), status=302)
    storage._s3.cache_clear()
    assert answer.headers["Location"].startswith("http://s3.example/calls/2026/CA1-1.wav?")
    assert "X-Amz-Signature=" in answer.headers["Location"]


def test_a_link_that_was_changed_or_has_expired_is_refused(
    anonymous: ApiClient, recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, other = recorded(), recorded()
    link = path_of(recordings.download_url(row.id))
    forged = link.replace(f"/{row.id}/", f"/{other.id}/")
    assert anonymous.get(forged, status=403)["code"] == "INVALID_SIGNATURE"
    longer = link.replace("expires=", "expires=9")
    assert anonymous.get(longer, status=403)["code"] == "INVALID_SIGNATURE"
    anonymous.get(link.partition("&")[0], status=400)
    monkeypatch.setattr(recordings, "LINK_SECONDS", -1)
    expired = path_of(recordings.download_url(row.id))
    assert anonymous.get(expired, status=403)["code"] == "LINK_EXPIRED"


def test_a_deleted_recording_has_no_bytes_and_no_link(
    client: ApiClient, anonymous: ApiClient, recorded, recordings_dir: Path
) -> None:
    row = recorded()
    link = path_of(recordings.download_url(row.id))
    client.delete(f"/v1/recordings/{row.id}")
    assert not (recordings_dir / row.path).exists()
    anonymous.get(link, status=404)
    shown = client.get(f"/v1/recordings/{row.id}")["data"]
    assert (shown["recording_status"], shown["recording_url"]) == ("deleted", None)
    assert client.get("/v1/recordings")["data"]["recordings"] == []
    client.delete(f"/v1/recordings/{row.id}")


def test_a_recording_under_way_is_not_deleted(client: ApiClient, recorded) -> None:
    row = recorded(status=RecordingStatus.RECORDING)
    client.delete(f"/v1/recordings/{row.id}", status=409)


def test_a_tenant_sees_its_own_recordings_only(
    client: ApiClient, make_tenant: Callable[..., Tenant], recorded
) -> None:
    foreign = recorded(of=make_tenant("Other"))
    assert client.get("/v1/recordings")["data"]["recordings"] == []
    client.get(f"/v1/recordings/{foreign.id}", status=404)
    client.delete(f"/v1/recordings/{foreign.id}", status=404)
    client.get(f"/v1/recordings/{2**63 - 1}", status=404)


def test_a_call_s_newest_recording_is_found(recorded, tenant: Tenant) -> None:
    row = recorded()
    assert recordings.recording_for_call(tenant.id, row.call_id).id == row.id
    assert list(recordings.urls(tenant.id, [row.call_id, uuid4()])) == [row.call_id]
    assert recordings.urls(tenant.id + 1, [row.call_id]) == {}
