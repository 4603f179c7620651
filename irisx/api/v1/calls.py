"""`/v1/calls`: place calls, read them, act on live ones."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    Body,
    FromDate,
    OffsetPagination,
    OffsetQuery,
    Success,
    Timestamp,
    ToDate,
    read_cursor,
    write_cursor,
)
from irisx.api.v1.amd import AmdDetected
from irisx.intelligence.transcripts import service as transcripts
from irisx.intelligence.transcripts.models import TranscriptStatus
from irisx.kernel.errors import NotFound, invalid
from irisx.kernel.ids import call_sid
from irisx.telephony import bus
from irisx.telephony.amd import results
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.calls import destinations, prompts, queries, recordings, service
from irisx.telephony.calls.models import Call, RecordingStatus
from irisx.telephony.calls.queries import CallFilter, Position
from irisx.telephony.calls.requests import CallRequest
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.tenancy.access import Caller

router = Router("Calls")

_READ = "calls:read"
_WRITE = "calls:write"


# --- placing and reading ----------------------------------------------------------------------


class NewCall(Answer):
    """A call that was accepted; an engine places it now."""

    sid: str = Field(examples=["CA834003994ba453cfe344047731d71cd5"])
    status: CallStatus
    from_: str = Field(alias="from")
    to: str
    initiated_at: Timestamp


class CallDetails(NewCall):
    """`duration`: seconds from answer to end, `bill_seconds`: the same, rounded up; null until the
    end. `reason`: the switch's hang-up cause (Q.850 name) or why the call was not placed."""

    direction: Direction
    duration: int | None
    bill_seconds: int | None
    recording_url: str | None = Field(description="Signed link that expires; null: no recording.")
    ringing_at: Timestamp | None
    answered_at: Timestamp | None
    ended_at: Timestamp | None
    reason: str | None
    sip_status: int | None = Field(description="Last SIP status of the far end, such as 486.")
    hangup_by: str | None = Field(description="`remote` or `irisx`.")
    caller_name: str | None
    record: bool
    amd_enabled: bool
    amd: AmdDetected | None = Field(description="Who took the call; null: not detected (yet).")
    metadata: dict[str, JsonValue]
    stir_shaken: dict[str, JsonValue] | None
    sandbox: bool


#: Fields that are columns of the row.
_SAME_NAME = CallDetails.model_fields.keys() & Call.__table__.columns.keys()


class CallsQuery(OffsetQuery):
    """Filters by time mean the time of initiation; a day as `to_date` is included."""

    cursor: str | None = Field(
        None, max_length=1000, description="`next_cursor` of the page before, in place of offset."
    )
    status: CallStatus | None = None
    direction: Direction | None = None
    from_date: FromDate | None = None
    to_date: ToDate | None = None


class CallsPagination(OffsetPagination):
    """`total` is null in pages by cursor."""

    total: int | None  # type: ignore[assignment]
    next_cursor: str | None


class Calls(Answer):
    calls: list[CallDetails]
    pagination: CallsPagination


class TimelineLine(Answer):
    """`offset_ms`: milliseconds since the call was initiated."""

    type: str = Field(examples=["call.answered"])
    at: Timestamp
    offset_ms: int
    data: dict[str, JsonValue]


class Timeline(Answer):
    sid: str
    events: list[TimelineLine]


@router.post("/v1/calls", access=_WRITE, answer=NewCall, status=201, rate=Rate.CALL_CREATION)
def create_call(caller: Caller, body: CallRequest) -> dict[str, Any]:
    """Place an outbound call."""
    return _accepted(service.create_call(caller, body))


@router.get("/v1/calls", access=_READ, answer=Success[Calls])
def list_calls(caller: Caller, query: CallsQuery) -> dict[str, Any]:
    """List calls, newest first."""
    if query.cursor is not None and query.offset:
        raise invalid("offset", "not together with cursor")
    chosen = CallFilter(
        caller.tenant_id, query.status, query.direction, query.from_date, query.to_date
    )
    after = _read_position(caller.tenant_id, query.cursor)
    rows = queries.list_calls(chosen, limit=query.limit + 1, offset=query.offset, after=after)
    page = rows[: query.limit]
    pagination = {
        "limit": query.limit,
        "offset": query.offset,
        "total": queries.count_calls(chosen) if after is None else None,
        "next_cursor": _position(caller.tenant_id, page[-1]) if len(rows) > query.limit else None,
    }
    return {"data": {"calls": _details(caller.tenant_id, page), "pagination": pagination}}


@router.get("/v1/calls/<sid>", access=_READ, answer=CallDetails)
def get_call(caller: Caller, sid: str) -> dict[str, Any]:
    """Get a call."""
    call = service.get_call(caller.tenant_id, sid)
    return _details(caller.tenant_id, [call])[0]


@router.get("/v1/calls/<sid>/events", access=_READ, answer=Timeline)
def list_call_events(caller: Caller, sid: str) -> dict[str, Any]:
    """Get a call's timeline: everything that happened to it, in order."""
    return {"sid": sid, "events": queries.timeline(caller.tenant_id, sid)}


def _accepted(call: Call) -> dict[str, Any]:
    return {
        "sid": call_sid(call.id),
        "status": call.status,
        "from": call.from_number,
        "to": call.to_number,
        "initiated_at": call.initiated_at,
    }


def _details(tenant_id: int, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """The calls as they are shown, with what other tables know of them."""
    ids = [call.id for call in calls]
    urls = recordings.urls(tenant_id, ids)
    detected = results.of_calls(tenant_id, ids)
    return [_detail(call, urls.get(call.id), detected.get(call.id)) for call in calls]


def _detail(call: Call, recording_url: str | None, detected: AmdResult | None) -> dict[str, Any]:
    over = call.ended_at is not None
    same = {name: getattr(call, name) for name in _SAME_NAME}
    return (
        _accepted(call)
        | same
        | {
            "duration": round((call.duration_ms or 0) / 1000) if over else None,
            "metadata": call.metadata_,
            "recording_url": recording_url,
            "amd": detected,
        }
    )


def _position(tenant_id: int, call: Call) -> str:
    return write_cursor("calls", tenant_id, [call.initiated_at.isoformat(), call.id.hex])


def _read_position(tenant_id: int, cursor: str | None) -> Position | None:
    position = read_cursor("calls", tenant_id, cursor)
    return None if position is None else (datetime.fromisoformat(position[0]), UUID(position[1]))


# --- recording and transcript -----------------------------------------------------------------


class CallRecording(Answer):
    """The call's newest recording; `recording_url` is a signed link that expires."""

    sid: str
    recording_id: int
    recording_url: str | None
    recording_status: RecordingStatus
    recording_duration_seconds: int | None
    recording_size_bytes: int | None


class TranscriptWord(Answer):
    """Times in ms from the recording's beginning."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


class TranscriptSegment(Answer):
    speaker: Literal["customer", "agent", "unknown"] = Field(
        description="`agent`: all that the customer hears. `unknown`: there is one channel only."
    )
    start_ms: int
    end_ms: int
    text: str
    confidence: float | None
    words: list[TranscriptWord]


class TranscriptAnswer(Answer):
    """Of the call's newest recording; null and empty until `status` is `completed`."""

    sid: str
    recording_id: int
    status: TranscriptStatus
    text: str | None
    confidence: float | None = Field(
        description="Mean over the words, by the model's own account; null where it tells none."
    )
    language: str | None
    segments: list[TranscriptSegment]
    redacted: int = Field(description="Words that were not kept, by the setting `redact`.")
    provider: str | None
    model: str | None
    error: str | None = Field(description="Why it failed, or was delayed.")
    created_at: Timestamp
    completed_at: Timestamp | None


@router.get("/v1/calls/<sid>/recording", access=_READ, answer=CallRecording)
def get_call_recording(caller: Caller, sid: str) -> dict[str, Any]:
    """Get a call's recording."""
    call = service.get_call(caller.tenant_id, sid)
    found = recordings.recording_for_call(caller.tenant_id, call.id)
    return vars(found) | {"sid": sid, "recording_id": found.id}


@router.get(
    "/v1/calls/<sid>/transcript",
    access=_READ,
    answer=TranscriptAnswer,
    also={404: "No such call, or it has no stored recording (TRANSCRIPT_NOT_AVAILABLE)."},
)
def get_call_transcript(caller: Caller, sid: str) -> dict[str, Any]:
    """Get the transcript of a recorded call. The first time asks for it: `status` is `queued`."""
    call = service.get_call(caller.tenant_id, sid)
    try:
        recording = recordings.recording_for_call(caller.tenant_id, call.id)
    except NotFound as error:
        raise _no_transcript(error.message) from error
    if recording.recording_status is not RecordingStatus.COMPLETED:
        raise _no_transcript(f"The recording is {recording.recording_status}, not stored.")
    found = transcripts.of_recording(caller.tenant_id, call.id, recording.id)
    done = found.status is TranscriptStatus.COMPLETED
    return vars(found) | {"sid": sid, "text": found.text if done else None}


def _no_transcript(why: str) -> NotFound:
    return NotFound(why, code="TRANSCRIPT_NOT_AVAILABLE")


# --- live control -----------------------------------------------------------------------------


class Controlled(Answer):
    """The engine did what was asked. `status`: of the call."""

    sid: str
    status: CallStatus


class Transfer(Body):
    """`attended`: ring `to` while the customer waits on hold; then complete or cancel."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=320)] = Field(
        description="E.164 number, SIP address (`sip:user@host`) or agent (`sip_3`)."
    )
    type: Literal["blind", "attended"] = "blind"


class Play(Body):
    url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        description="http(s) URL of WAV, FLAC, Ogg or MP3, at most 10 MB and 10 minutes."
    )
    loop: Annotated[int, Field(ge=1, le=100)] = 1


class Say(Body):
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=3000)]
    voice: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")] | None = None


class Dtmf(Body):
    digits: Annotated[str, StringConstraints(pattern=r"^[0-9A-D*#w]{1,64}$")] = Field(
        description="`w` waits half a second."
    )
    duration_ms: Annotated[int, Field(ge=50, le=5000)] = Field(
        250, description="Length of each tone in milliseconds."
    )


class Mute(Body):
    leg: Literal["customer", "partner"] = Field(
        "customer", description="Whose voice nobody hears any more."
    )


class Record(Body):
    """`pause` writes silence until `resume`, for what must not be recorded.

    Digits pressed meanwhile are in the timeline without saying which.
    """

    action: Literal["start", "pause", "resume", "stop"]


class RecordControlled(Controlled):
    """`recording_id`: null where the database is slow to store the recording."""

    recording_id: int | None


@router.post("/v1/calls/<sid>/end", access=_WRITE, answer=Controlled)
def end_call(caller: Caller, sid: str) -> dict[str, Any]:
    """End a call, whatever it does; one that is not dialled yet never will be."""
    return {"sid": sid, "status": service.end_call(caller.tenant_id, sid).status}


@router.post("/v1/calls/<sid>/transfer", access=_WRITE, answer=Controlled)
def transfer_call(caller: Caller, sid: str, body: Transfer) -> dict[str, Any]:
    """Connect the customer with somebody else, at once or after a consultation."""
    destination = destinations.from_text(body.to, "to")
    service.active_call(caller.tenant_id, sid)
    destinations.resolve(destination, caller.tenant_id, "to")
    verb = "transfer" if body.type == "blind" else "consult"
    return _control(caller, sid, verb, {"to": destination.model_dump()})


@router.post("/v1/calls/<sid>/transfer/complete", access=_WRITE, answer=Controlled)
def complete_transfer(caller: Caller, sid: str) -> dict[str, Any]:
    """Complete an attended transfer: the customer talks with the one who was consulted."""
    return _control(caller, sid, "consult_complete")


@router.post("/v1/calls/<sid>/transfer/cancel", access=_WRITE, answer=Controlled)
def cancel_transfer(caller: Caller, sid: str) -> dict[str, Any]:
    """Cancel an attended transfer: the customer talks with the former partner again."""
    return _control(caller, sid, "consult_cancel")


@router.post("/v1/calls/<sid>/play", access=_WRITE, answer=Controlled)
def play_to_call(caller: Caller, sid: str, body: Play) -> dict[str, Any]:
    """Play audio to the customer."""
    service.active_call(caller.tenant_id, sid)
    path = prompts.fetch(caller.tenant_id, body.url)
    return _control(caller, sid, "play", {"path": str(path), "loops": body.loop})


@router.post("/v1/calls/<sid>/play/stop", access=_WRITE, answer=Controlled)
def stop_playback(caller: Caller, sid: str) -> dict[str, Any]:
    """Stop what is being played or said."""
    return _control(caller, sid, "stop_playback")


@router.post("/v1/calls/<sid>/say", access=_WRITE, answer=Controlled)
def say_to_call(caller: Caller, sid: str, body: Say) -> dict[str, Any]:
    """Speak a text to the customer."""
    return _control(caller, sid, "say", body.model_dump())


@router.post("/v1/calls/<sid>/dtmf", access=_WRITE, answer=Controlled)
def send_dtmf(caller: Caller, sid: str, body: Dtmf) -> dict[str, Any]:
    """Send digits to the customer's side."""
    return _control(caller, sid, "dtmf", body.model_dump())


@router.post("/v1/calls/<sid>/hold", access=_WRITE, answer=Controlled)
def hold_call(caller: Caller, sid: str) -> dict[str, Any]:
    """Put the customer on hold, with music."""
    return _control(caller, sid, "hold")


@router.post("/v1/calls/<sid>/unhold", access=_WRITE, answer=Controlled)
def unhold_call(caller: Caller, sid: str) -> dict[str, Any]:
    """Take the customer off hold."""
    return _control(caller, sid, "unhold")


@router.post("/v1/calls/<sid>/mute", access=_WRITE, answer=Controlled)
def mute_call(caller: Caller, sid: str, body: Mute) -> dict[str, Any]:
    """Mute one side of a call."""
    return _control(caller, sid, "mute", body.model_dump())


@router.post("/v1/calls/<sid>/unmute", access=_WRITE, answer=Controlled)
def unmute_call(caller: Caller, sid: str) -> dict[str, Any]:
    """Let both sides be heard again."""
    return _control(caller, sid, "unmute")


@router.post("/v1/calls/<sid>/record", access=_WRITE, answer=RecordControlled)
def record_call(caller: Caller, sid: str, body: Record) -> dict[str, Any]:
    """Start, pause, resume or stop the recording of a call."""
    done = _control(caller, sid, "record", body.model_dump())
    return {"recording_id": None} | done


def _control(
    caller: Caller, sid: str, verb: str, args: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Have the engine do it. Whatever else it answers the view's model may show."""
    call = service.active_call(caller.tenant_id, sid)
    return bus.request(call, verb, args) | {"sid": sid, "status": call.status}
