"""What a campaign has done: counts of rows, and the attempts themselves, also as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from irisx.kernel.clock import isoformat, now
from irisx.kernel.db import transaction
from irisx.telephony.dialer import campaigns, contacts
from irisx.telephony.dialer.campaigns import options_of
from irisx.telephony.dialer.dialler import drops_and_answers
from irisx.telephony.dialer.floor import snapshot
from irisx.telephony.dialer.models import Campaign, CampaignAttempt, CampaignContact
from irisx.telephony.dialer.pacing import Snapshot, upper_bound
from irisx.telephony.dialer.states import OPEN_CONTACTS, AttemptResult, ContactStatus

_EXPORT_BATCH = 1000
#: What a spreadsheet would take for a formula when it opens a CSV.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?\Z")


@dataclass(frozen=True, slots=True)
class Drops:
    """Of the last 30 days. `rate` None: nobody has answered. `upper_bound`: what the cap holds
    against `limit`."""

    drops: int
    answers: int
    limit: float

    @property
    def rate(self) -> float | None:
        return self.drops / self.answers if self.answers else None

    @property
    def upper_bound(self) -> float | None:
        return upper_bound(self.drops, self.answers) if self.answers else None


@dataclass(frozen=True, slots=True)
class Times:
    """Sums in ms, each with how many calls it is of."""

    ring_ms: int
    rings: int
    wait_ms: int
    waits: int
    talk_ms: int
    talks: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """`results`: attempts that have ended, by result. `floor`: agents and calls at this moment;
    None for a campaign without agents."""

    campaign: Campaign
    contacts: dict[ContactStatus, int]
    results: dict[AttemptResult, int]
    under_way: int
    drops: Drops
    dispositions: dict[str, int]
    successes: int
    times: Times
    floor: Snapshot | None
    at: datetime

    @property
    def attempts(self) -> int:
        return sum(self.results.values()) + self.under_way

    @property
    def left(self) -> int:
        """Contacts that the campaign is not done with."""
        return sum(count for status, count in self.contacts.items() if status in OPEN_CONTACTS)


def statistics(tenant_id: int, campaign_id: int) -> Statistics:
    """All of it as the rows are at this moment."""
    with transaction() as session:
        campaign = campaigns.fetch(session, tenant_id, campaign_id)
        options = options_of(campaign)
        drops, answers = drops_and_answers(session, campaign_id)
        by_result = _results(session, campaign_id)
        said = _dispositions(session, campaign_id)
        good = {found.code for found in options.dispositions if found.success}
        return Statistics(
            campaign=campaign,
            contacts=contacts.counts(session, campaign_id),
            under_way=by_result.pop(None, 0),
            results={result: n for result, n in by_result.items() if result is not None},
            drops=Drops(drops, answers, options.max_drop_rate),
            dispositions=said,
            successes=sum(count for code, count in said.items() if code in good),
            times=_times(session, campaign_id),
            floor=None if campaign.queue_id is None else snapshot(session, campaign),
            at=now(),
        )


def _results(session: Session, campaign_id: int) -> dict[AttemptResult | None, int]:
    query = (
        select(CampaignAttempt.result, func.count())
        .where(CampaignAttempt.campaign_id == campaign_id)
        .group_by(CampaignAttempt.result)
    )
    return {result: count for result, count in session.execute(query)}


def _dispositions(session: Session, campaign_id: int) -> dict[str, int]:
    query = (
        select(CampaignAttempt.disposition, func.count())
        .where(CampaignAttempt.campaign_id == campaign_id, CampaignAttempt.disposition.is_not(None))
        .group_by(CampaignAttempt.disposition)
    )
    return {code: count for code, count in session.execute(query) if code is not None}


def _times(session: Session, campaign_id: int) -> Times:
    columns: list[ColumnElement[int]] = []
    for column in (CampaignAttempt.ring_ms, CampaignAttempt.wait_ms, CampaignAttempt.talk_ms):
        columns += [func.coalesce(func.sum(column), 0), func.count(column)]
    query = select(*columns).where(CampaignAttempt.campaign_id == campaign_id)
    return Times(*(int(value) for value in session.execute(query).one()))


# -- results ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """`start` <= started < `end`."""

    result: AttemptResult | None = None
    contact_id: int | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class ResultPage:
    """`next`: where the page behind it begins."""

    results: Sequence[tuple[CampaignAttempt, CampaignContact | None]]
    next: tuple[datetime, UUID] | None


def results(
    tenant_id: int,
    campaign_id: int,
    wanted: ResultFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> ResultPage:
    """Attempts with their contacts (None: removed), newest first."""
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
        query = _attempts(tenant_id, campaign_id, wanted, after).limit(limit + 1)
        found = [(attempt, contact) for attempt, contact in session.execute(query)]
    page = found[:limit]
    last = page[-1][0] if len(found) > limit else None
    return ResultPage(page, None if last is None else (last.started_at, last.id))


def _attempts(
    tenant_id: int,
    campaign_id: int,
    wanted: ResultFilter,
    after: tuple[datetime, UUID] | None,
) -> Select[CampaignAttempt, CampaignContact]:
    query = (
        select(CampaignAttempt, CampaignContact)
        .outerjoin(CampaignContact, CampaignContact.id == CampaignAttempt.contact_id)
        .where(CampaignAttempt.tenant_id == tenant_id, CampaignAttempt.campaign_id == campaign_id)
        .order_by(CampaignAttempt.started_at.desc(), CampaignAttempt.id.desc())
    )
    if wanted.result is not None:
        query = query.where(CampaignAttempt.result == wanted.result)
    if wanted.contact_id is not None:
        query = query.where(CampaignAttempt.contact_id == wanted.contact_id)
    if wanted.start is not None:
        query = query.where(CampaignAttempt.started_at >= wanted.start)
    if wanted.end is not None:
        query = query.where(CampaignAttempt.started_at < wanted.end)
    if after is not None:
        place = func.row(CampaignAttempt.started_at, CampaignAttempt.id)
        query = query.where(place < func.row(*after))
    return query


_COLUMNS = (
    "call_sid", "started_at", "contact_id", "name", "number", "result", "counted", "cause",
    "agent_id", "answered_at", "ended_at", "ring_ms", "wait_ms", "talk_ms", "disposition", "notes",
)  # fmt: skip


def export(tenant_id: int, campaign_id: int, wanted: ResultFilter) -> Iterator[bytes]:
    """The same attempts as CSV (UTF-8 with a mark, as spreadsheets want it), piece by piece.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    with transaction() as session:
        campaigns.fetch(session, tenant_id, campaign_id)
    return _pieces(tenant_id, campaign_id, wanted)


def _pieces(tenant_id: int, campaign_id: int, wanted: ResultFilter) -> Iterator[bytes]:
    yield "\ufeff".encode() + _lines([_COLUMNS])
    after: tuple[datetime, UUID] | None = None
    while True:
        page = results(tenant_id, campaign_id, wanted, limit=_EXPORT_BATCH, after=after)
        if page.results:
            yield _lines([_cells(attempt, contact) for attempt, contact in page.results])
        if page.next is None:
            return
        after = page.next


def _cells(attempt: CampaignAttempt, contact: CampaignContact | None) -> list[str]:
    values: dict[str, Any] = {
        **{name: getattr(attempt, name, None) for name in _COLUMNS},
        "contact_id": f"{CampaignContact.PREFIX}_{attempt.contact_id}",
        "name": contact.name if contact is not None else "",
        "agent_id": attempt.agent_id and f"agent_{attempt.agent_id}",
    }
    return [_cell(values[name]) for name in _COLUMNS]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return isoformat(value)
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()
