"""`/v1/recordings`: the recordings of the tenant's calls."""

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from flask import Response, send_file
from pydantic import Field, StringConstraints

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    FromDate,
    PagePagination,
    PageQuery,
    Query,
    Success,
    Timestamp,
    ToDate,
    page_pagination,
)
from irisx.telephony.calls import recordings
from irisx.telephony.calls.models import RecordingStatus
from irisx.telephony.calls.recordings import RecordingFilter, RecordingView
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.access import Caller

router = Router("Call Recordings")

RecordingId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class RecordingsQuery(PageQuery):
    """The days of `startDate` and `endDate` are included."""

    limit: int = Field(25, ge=1, le=100)
    status: RecordingStatus | None = None
    start: FromDate | None = Field(None, alias="startDate")
    end: ToDate | None = Field(None, alias="endDate")
    search: Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{1,20}$")] | None = Field(
        None, description="Digits of the caller's or the called number."
    )
    transcript: str | None = Field(
        None, min_length=1, max_length=200, description='Words that were said: `refund -"credit"`.'
    )


class RecordingAnswer(Answer):
    id: int
    call_sid: str
    call_uuid: UUID
    from_number: str | None
    to_number: str | None
    direction: Direction | None
    call_status: CallStatus | None
    recording_url: str | None = Field(description="A link that works for an hour, without a key.")
    recording_status: RecordingStatus
    recording_duration_seconds: int | None
    recording_size_bytes: int | None
    transcription_text: str | None
    transcription_confidence: float | None
    agent_name: str | None = None
    failure_reason: str | None = Field(description="Why there is no recording, or not yet.")
    created_at: Timestamp


class Recordings(Answer):
    recordings: list[RecordingAnswer]
    pagination: PagePagination


class RecordingStats(Answer):
    """Of completed recordings. `totalDuration`: seconds; `totalSize`: bytes."""

    total_recordings: int = Field(alias="totalRecordings")
    total_duration: int = Field(alias="totalDuration")
    total_size: int = Field(alias="totalSize")
    transcribed_count: int = Field(alias="transcribedCount")


@router.get("/v1/recordings", access="recordings:read", answer=Success[Recordings])
def list_recordings(caller: Caller, query: RecordingsQuery) -> dict[str, Any]:
    """List recordings, newest first; deleted ones only with `status=deleted`."""
    wanted = RecordingFilter(query.status, query.start, query.end, query.search, query.transcript)
    rows, total = recordings.list_recordings(
        caller.tenant_id, wanted, limit=query.limit, offset=query.offset
    )
    return {"data": {"recordings": rows, "pagination": page_pagination(query, total)}}


@router.get("/v1/recordings/stats", access="recordings:read", answer=Success[RecordingStats])
def get_recording_statistics(caller: Caller) -> dict[str, Any]:
    """Sums over the tenant's completed recordings."""
    return {"data": recordings.statistics(caller.tenant_id)}


@router.get(
    "/v1/recordings/<recording_id>", access="recordings:read", answer=Success[RecordingAnswer]
)
def get_recording(caller: Caller, recording_id: RecordingId) -> dict[str, RecordingView]:
    """Get a recording."""
    return {"data": recordings.get_recording(caller.tenant_id, recording_id)}


@router.delete(
    "/v1/recordings/<recording_id>",
    access="recordings:write",
    also={409: "The recording is still under way."},
)
def delete_recording(caller: Caller, recording_id: RecordingId) -> None:
    """Delete a recording: its bytes are removed, its link is dead. Again is no error."""
    recordings.delete_recording(caller, caller.tenant_id, recording_id)


class DownloadQuery(Query):
    expires: int = Field(ge=0, le=2**53)
    signature: str = Field(max_length=200)


@router.get(
    "/v1/recordings/<recording_id>/download",
    access=PUBLIC,
    rate=Rate.NONE,
    produces=recordings.CONTENT_TYPE,
    also={
        206: "The range that was asked for.",
        302: "The bytes are in an object storage, at this address for five minutes.",
        403: "The link is not valid or has expired.",
        416: "The range is not there.",
    },
)
def download_recording(recording_id: RecordingId, query: DownloadQuery) -> Response:
    """Follow a `recording_url`: the sound file, whole or in ranges, or a redirect to it."""
    found = recordings.follow_download(recording_id, query.expires, query.signature)
    if isinstance(found, str):
        return Response(status=302, headers={"Location": found})
    return send_file(
        found,
        mimetype=recordings.CONTENT_TYPE,
        download_name=f"recording-{recording_id}{Path(found).suffix}",
        conditional=True,
    )
