"""`/v1/amd`: settings of answering-machine detection, its results, and what people say of them."""

from pathlib import Path
from typing import Annotated, Any

from flask import redirect, send_file
from pydantic import Field, JsonValue, StringConstraints
from werkzeug.wrappers import Response as BaseResponse

from irisx.api.http import Router
from irisx.api.schemas import (
    Answer,
    Body,
    FromDate,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Query,
    Success,
    Timestamp,
    ToDate,
    listed,
)
from irisx.kernel.ids import call_sid, call_uuid
from irisx.media.amd import AmdMode, Result
from irisx.telephony.amd import audio, config, results
from irisx.telephony.amd.config import Action, AmdSettings
from irisx.telephony.amd.models import AmdResult
from irisx.telephony.amd.results import ResultFilter
from irisx.telephony.ivr.audio import Prompt
from irisx.tenancy.access import Caller

router = Router("AMD (Answering Machine Detection)")

ResultId = Annotated[int, PublicId("amd")]


# --- settings ---------------------------------------------------------------------------------


class AmdConfigAnswer(Answer):
    """The settings as they hold, defaults filled in. Times are ms; docs/amd.md says what each
    means and which numbers the modes have."""

    enabled: bool
    mode: AmdMode
    initial_silence: int
    greeting_length: int
    after_greeting_silence: int
    total_analysis_time: int
    minimum_word_length: int
    between_words_silence: int
    maximum_words: int
    action_on_machine: Action
    action_on_human: Action
    action_on_fax: Action
    action_on_silence: Action
    action_on_unknown: Action
    flow_id: str | None
    message: Prompt | None
    keep_audio: bool
    audio_retention_days: int


@router.get("/v1/amd/config", access="amd:read", answer=AmdConfigAnswer)
def get_amd_config(caller: Caller) -> dict[str, Any]:
    """Get AMD settings."""
    return _config(config.given(caller.tenant_id))


@router.put("/v1/amd/config", access="amd:write", answer=AmdConfigAnswer)
def update_amd_config(caller: Caller, body: AmdSettings) -> dict[str, Any]:
    """Update AMD settings: those that are left out stay, null brings the default back."""
    return _config(config.change(caller, caller.tenant_id, body))


def _config(given: dict[str, Any]) -> dict[str, Any]:
    plan = config.settle(given)
    actions = {f"action_on_{result}": action for result, action in plan.actions.items()}
    rest = plan.model_dump(include={"flow_id", "keep_audio", "audio_retention_days"})
    shown = {"enabled": given.get("enabled", False), "message": plan.message}
    return plan.settings.model_dump() | actions | rest | shown


# --- results ----------------------------------------------------------------------------------


class AmdDetected(Answer):
    """Who took a call. Times are ms: `decided_ms` from the answer, `after_speech_ms` from the
    first speech; those of the beep from the first sample that was heard."""

    result: Result
    cause: str = Field(examples=["after_greeting_silence"])
    confidence: float = Field(
        description="How often verdicts of this cause were right on the development corpus."
    )
    decided_ms: int
    after_speech_ms: int | None
    beep_at_ms: int | None
    beep_end_ms: int | None
    action: str = Field(description="What was done; `none`: the call had ended or was transferred.")


class AmdResultAnswer(AmdDetected):
    """`label`: what it was, as feedback says."""

    id: ResultId
    call_sid: str
    mode: AmdMode
    settings: dict[str, JsonValue]
    features: dict[str, JsonValue]
    decided_at: Timestamp
    sandbox: bool
    label: Result | None
    label_note: str | None
    labeled_at: Timestamp | None
    has_audio: bool


class AmdResultsQuery(OffsetQuery):
    """Filters by time mean the time of the decision; a day as `to_date` is included."""

    result: Result | None = None
    label: Result | None = None
    labeled: bool | None = None
    call_sid: str | None = Field(None, max_length=34)
    from_date: FromDate | None = None
    to_date: ToDate | None = None


class AmdResults(Answer):
    results: list[AmdResultAnswer]
    pagination: OffsetPagination


class AmdFeedback(Body):
    """What took the call, as somebody who knows says."""

    label: Result
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] | None = None


@router.get("/v1/amd/results", access="amd:read", answer=Success[AmdResults])
def list_amd_results(caller: Caller, query: AmdResultsQuery) -> dict[str, Any]:
    """List detections, newest first."""
    chosen = ResultFilter(
        caller.tenant_id,
        result=query.result,
        label=query.label,
        labeled=query.labeled,
        call_id=None if query.call_sid is None else call_uuid(query.call_sid),
        from_date=query.from_date,
        to_date=query.to_date,
    )
    found, total = results.list_page(chosen, limit=query.limit, offset=query.offset)
    return listed("results", [_shown(row) for row in found], query, total)


@router.post("/v1/amd/results/<result_id>/feedback", access="amd:write", answer=AmdResultAnswer)
def give_amd_feedback(caller: Caller, result_id: ResultId, body: AmdFeedback) -> dict[str, Any]:
    """Say what took the call. Given again, the last one counts; accuracy rests on nothing else."""
    return _shown(results.label(caller, caller.tenant_id, result_id, body.label, body.note))


@router.get(
    "/v1/amd/results/<result_id>/audio",
    access="amd:read",
    produces=audio.CONTENT_TYPE,
    also={302: "The bytes are in an object storage, at this address for five minutes."},
)
def get_amd_audio(caller: Caller, result_id: ResultId) -> BaseResponse:
    """Hear what a decision rests on: FLAC, kept with the setting `keep_audio`."""
    found = audio.of(caller.tenant_id, result_id)
    if isinstance(found, Path):
        return send_file(found, mimetype=audio.CONTENT_TYPE, conditional=True)
    return redirect(found)


def _shown(row: AmdResult) -> dict[str, Any]:
    columns = {column.key: getattr(row, column.key) for column in AmdResult.__table__.columns}
    has_audio = row.audio_location is not None
    return columns | {"call_sid": call_sid(row.call_id), "has_audio": has_audio}


# --- statistics -------------------------------------------------------------------------------


class AmdShare(Answer):
    """`value`: numerator by denominator, null where there is nothing to divide by."""

    value: float | None
    numerator: int
    denominator: int


class AmdTimes(Answer):
    """Of `count` decisions that told something, in ms from the answer."""

    count: int
    mean: int | None
    median: int | None
    p95: int | None


class AmdConfusion(Answer):
    label: Result
    result: Result
    count: int


class AmdStatistics(Answer):
    """Counts of detections; shares of those that have a label by feedback, and of no others."""

    total: int
    results: dict[str, int]
    causes: dict[str, int]
    actions: dict[str, int]
    decided_ms: AmdTimes
    labeled: int
    accuracy: AmdShare
    humans_recognized: AmdShare
    machines_recognized: AmdShare
    humans_called_machine: AmdShare
    machines_called_human: AmdShare
    confusion: list[AmdConfusion]


class AmdStatisticsQuery(Query):
    """The time of the decision; a day as `to_date` is included."""

    from_date: FromDate | None = None
    to_date: ToDate | None = None


@router.get("/v1/amd/statistics", access="amd:read", answer=Success[AmdStatistics])
def get_amd_statistics(caller: Caller, query: AmdStatisticsQuery) -> dict[str, Any]:
    """What was detected, how fast, and how often rightly, where somebody said what it was."""
    chosen = ResultFilter(caller.tenant_id, from_date=query.from_date, to_date=query.to_date)
    return {"data": results.statistics(chosen)}
