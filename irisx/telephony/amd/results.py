"""Results of answering-machine detection: lists, statistics, and what people say they were."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select

from irisx.kernel.db import transaction
from irisx.media.amd import Result
from irisx.telephony.amd.models import AmdResult
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """Which results of a tenant; by time of the decision, `from_date` inclusive, `to_date` not.

    `labeled`: with a label or without one.
    """

    tenant_id: int
    result: Result | None = None
    label: Result | None = None
    labeled: bool | None = None
    call_id: UUID | None = None
    from_date: datetime | None = None
    to_date: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions = [AmdResult.tenant_id == self.tenant_id]
        if self.result is not None:
            conditions.append(AmdResult.result == self.result)
        if self.label is not None:
            conditions.append(AmdResult.label == self.label)
        if self.labeled is not None:
            has_label = AmdResult.label.is_not(None)
            conditions.append(has_label if self.labeled else ~has_label)
        if self.call_id is not None:
            conditions.append(AmdResult.call_id == self.call_id)
        if self.from_date is not None:
            conditions.append(AmdResult.decided_at >= self.from_date)
        if self.to_date is not None:
            conditions.append(AmdResult.decided_at < self.to_date)
        return conditions


def list_page(chosen: ResultFilter, *, limit: int, offset: int) -> tuple[Sequence[AmdResult], int]:
    """Newest first, and how many there are."""
    query = select(AmdResult).where(*chosen.conditions())
    newest = query.order_by(AmdResult.decided_at.desc(), AmdResult.id.desc())
    with transaction() as session:
        found = session.scalars(newest.limit(limit).offset(offset)).all()
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return found, total


def result_of(tenant_id: int, call_id: UUID) -> AmdResult | None:
    """The result of one call."""
    return of_calls(tenant_id, [call_id]).get(call_id)


def of_calls(tenant_id: int, call_ids: Iterable[UUID]) -> dict[UUID, AmdResult]:
    """The results of several calls, where there are any."""
    wanted = (AmdResult.tenant_id == tenant_id, AmdResult.call_id.in_(list(call_ids)))
    with transaction() as session:
        return {row.call_id: row for row in session.scalars(select(AmdResult).where(*wanted))}


def label(by: Actor, tenant_id: int, result_id: int, what: Result, note: str | None) -> AmdResult:
    """A person says what took the call. Said again, the last one counts."""
    with transaction() as session:
        row = rows.fetch(session, AmdResult, result_id, tenant_id=tenant_id, lock=True)
        before = audit.snapshot(row)
        row.label, row.label_note = what, note
        row.labeled_at = session.scalar(select(func.now()))
        audit.updated(session, by, row, before)
    return row


@dataclass(frozen=True, slots=True)
class Share:
    """`numerator` of `denominator`; `value` is null where there is nothing to divide by."""

    numerator: int
    denominator: int

    @property
    def value(self) -> float | None:
        return round(self.numerator / self.denominator, 4) if self.denominator else None


def statistics(chosen: ResultFilter) -> dict[str, Any]:
    """Counts of the rows, times of decision, and accuracy on those that have a label."""
    mine = select(AmdResult).where(*chosen.conditions()).subquery()
    columns = mine.c

    def counted(column: ColumnElement[Any]) -> dict[str, int]:
        query = select(column, func.count()).where(column.is_not(None)).group_by(column)
        return {str(value): count for value, count in session.execute(query)}

    # Times say something of the detector where it heard the call out, not of hang-ups.
    decided = case((columns.result != Result.UNKNOWN, columns.decided_ms))
    times = select(
        func.count(decided),
        func.avg(decided),
        func.percentile_cont(0.5).within_group(decided),
        func.percentile_cont(0.95).within_group(decided),
    ).select_from(mine)
    pairs = select(columns.label, columns.result, func.count()).where(columns.label.is_not(None))
    with transaction() as session:
        results, causes, actions = map(counted, (columns.result, columns.cause, columns.action))
        judged, mean, median, p95 = session.execute(times).one()
        labeled = session.execute(pairs.group_by(columns.label, columns.result)).all()
    return {
        "total": sum(results.values()),
        "results": {result: results.get(result, 0) for result in Result},
        "causes": causes,
        "actions": actions,
        "decided_ms": {
            "count": judged,
            "mean": mean and round(float(mean)),
            "median": median and round(median),
            "p95": p95 and round(p95),
        },
        **_accuracy([(Result(label), Result(result), count) for label, result, count in labeled]),
    }


def _accuracy(labeled: Sequence[tuple[Result, Result, int]]) -> dict[str, Any]:
    """From (label, result, how many)."""

    def share(label: Result, *results: Result) -> Share:
        of = [(result, count) for truth, result, count in labeled if truth is label]
        return Share(
            sum(count for result, count in of if result in results), sum(count for _, count in of)
        )

    right = sum(count for label, result, count in labeled if label is result)
    human, machine = Result.HUMAN, Result.MACHINE
    return {
        "labeled": sum(count for *_, count in labeled),
        "accuracy": Share(right, sum(count for *_, count in labeled)),
        "humans_recognized": share(human, human),
        "machines_recognized": share(machine, machine),
        "humans_called_machine": share(human, machine),
        "machines_called_human": share(machine, human),
        "confusion": [
            {"label": label, "result": result, "count": count} for label, result, count in labeled
        ],
    }
