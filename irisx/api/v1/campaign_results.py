"""`/v1/campaigns/{id}/stats` and `/results`: what a campaign does and has done, from rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Response
from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    CursorPagination,
    CursorQuery,
    FromDate,
    Query,
    Success,
    Timestamp,
    ToDate,
    read_cursor,
    write_cursor,
)
from irisx.api.v1.campaign_contacts import ContactId
from irisx.api.v1.campaigns import CampaignId
from irisx.api.v1.contact_center import AgentId
from irisx.telephony.dialer import statistics
from irisx.telephony.dialer.models import CampaignAttempt, CampaignContact
from irisx.telephony.dialer.states import AttemptResult, CampaignStatus, ContactStatus
from irisx.telephony.dialer.statistics import ResultFilter, Statistics
from irisx.tenancy.access import Caller

router = Router("Campaign Results")

_READ = "campaigns:read"


class CampaignDrops(Answer):
    """People who got no agent in time ÷ people who answered, in the last 30 days."""

    drops: int
    answers: int
    rate: float | None
    upper_bound: float | None = Field(description="95 %, one-sided; `limit` is its cap.")
    limit: float


class Mean(Answer):
    """`sum_ms` ÷ `calls`; null where there are none."""

    mean_ms: float | None
    sum_ms: int
    calls: int


class CampaignTimes(Answer):
    ring: Mean = Field(description="Placing to answer, or to the end without one.")
    wait: Mean = Field(description="Answer to agent, or to the end of the wait.")
    talk: Mean


class CampaignFloor(Answer):
    """At this moment."""

    agents_free: int
    agents_talking: int
    agents_wrapping: int
    calls_ringing: int
    calls_waiting: int


class CampaignStatistics(Answer):
    status: CampaignStatus
    contacts: dict[ContactStatus, int]
    contacts_left: int = Field(description="With whom the campaign is not done.")
    attempts: int
    under_way: int
    results: dict[AttemptResult, int] = Field(description="Of attempts that have ended.")
    drops: CampaignDrops
    dispositions: dict[str, int]
    successes: int = Field(description="Dispositions that the campaign counts as success.")
    times: CampaignTimes
    floor: CampaignFloor | None = Field(description="Null without agents.")
    at: Timestamp


@router.get("/v1/campaigns/<campaign_id>/stats", access=_READ, answer=CampaignStatistics)
def get_campaign_stats(caller: Caller, campaign_id: CampaignId) -> dict[str, Any]:
    """Get a campaign's statistics as they are now."""
    found = statistics.statistics(caller.tenant_id, campaign_id)
    times = found.times
    return {
        "status": found.campaign.status,
        "contacts": {status: found.contacts.get(status, 0) for status in ContactStatus},
        "contacts_left": found.left,
        "attempts": found.attempts,
        "under_way": found.under_way,
        "results": {result: found.results.get(result, 0) for result in AttemptResult},
        "drops": found.drops,
        "dispositions": found.dispositions,
        "successes": found.successes,
        "times": {
            "ring": _mean(times.ring_ms, times.rings),
            "wait": _mean(times.wait_ms, times.waits),
            "talk": _mean(times.talk_ms, times.talks),
        },
        "floor": _floor(found),
        "at": found.at,
    }


def _mean(total: int, count: int) -> dict[str, Any]:
    return {"mean_ms": total / count if count else None, "sum_ms": total, "calls": count}


def _floor(found: Statistics) -> dict[str, int] | None:
    floor = found.floor
    if floor is None:
        return None
    return {
        "agents_free": floor.free,
        "agents_talking": len(floor.talking),
        "agents_wrapping": len(floor.wrapping),
        "calls_ringing": len(floor.ringing),
        "calls_waiting": floor.waiting,
    }


class ResultAnswer(Answer):
    call_sid: str
    contact_id: ContactId
    name: str | None = Field(description="Null: the contact was removed.")
    number: str
    result: AttemptResult | None = Field(description="Null: the call is under way.")
    counted: bool = Field(description="Whether it is an attempt of the contact.")
    cause: str | None = Field(description="The switch's.")
    agent_id: AgentId | None
    started_at: Timestamp
    answered_at: Timestamp | None
    ended_at: Timestamp | None
    ring_ms: int | None
    wait_ms: int | None
    talk_ms: int | None
    disposition: str | None
    notes: str | None


class CampaignResults(Answer):
    results: list[ResultAnswer]
    pagination: CursorPagination


class ResultFilters(Query):
    result: AttemptResult | None = None
    contact_id: ContactId | None = None
    start_date: FromDate | None = None
    end_date: ToDate | None = None

    @property
    def wanted(self) -> ResultFilter:
        return ResultFilter(self.result, self.contact_id, self.start_date, self.end_date)


class ResultQuery(CursorQuery, ResultFilters):
    pass


@router.get("/v1/campaigns/<campaign_id>/results", access=_READ, answer=Success[CampaignResults])
def list_campaign_results(
    caller: Caller, campaign_id: CampaignId, query: ResultQuery
) -> dict[str, Any]:
    """List the calls of a campaign, newest first."""
    listing = f"campaign-results/{campaign_id}"
    position = read_cursor(listing, caller.tenant_id, query.cursor)
    page = statistics.results(
        caller.tenant_id,
        campaign_id,
        query.wanted,
        limit=query.limit,
        after=(datetime.fromisoformat(position[0]), UUID(position[1])) if position else None,
    )
    following = page.next and [page.next[0].isoformat(), str(page.next[1])]
    pagination = {
        "limit": query.limit,
        "next_cursor": following and write_cursor(listing, caller.tenant_id, following),
    }
    found = [_result(attempt, contact) for attempt, contact in page.results]
    return {"data": {"results": found, "pagination": pagination}}


def _result(attempt: CampaignAttempt, contact: CampaignContact | None) -> Mapping[str, Any]:
    return {
        **{name: getattr(attempt, name, None) for name in ResultAnswer.model_fields},
        "name": contact and contact.name,
    }


@router.get(
    "/v1/campaigns/<campaign_id>/results/export",
    access=_READ,
    rate=Rate.BULK,
    produces="text/csv",
)
def export_campaign_results(
    caller: Caller, campaign_id: CampaignId, query: ResultFilters
) -> Response:
    """Download the calls of a campaign as CSV, newest first. Cells that a spreadsheet would take
    for a formula begin with an apostrophe."""
    pieces = statistics.export(caller.tenant_id, campaign_id, query.wanted)
    response = Response(pieces, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="camp_{campaign_id}.csv"'
    return response
