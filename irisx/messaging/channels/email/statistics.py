"""Numbers about email, all counted from rows of messages and of what recipients did.

- total: accepted from the tenant. sent: taken by a server, whatever came after. delivered: known
  to be, by a receipt, an open or a click. bounced: taken, then returned. failed: never taken.
- opened, clicked: messages that a person opened or in which a person followed a link, once each.
- delivery rate = delivered ÷ sent; open rate = opened ÷ delivered; click rate = clicked ÷
  delivered; bounce rate = bounced ÷ sent. Nothing to divide by: null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    case,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging.channels.email.engagement import CLICK, OPEN
from irisx.messaging.channels.email.models import EmailEngagement
from irisx.messaging.models import Message, Suppression
from irisx.messaging.states import Direction, MessageStatus

_S = MessageStatus
_DELIVERED = (_S.DELIVERED, _S.READ)
_NEVER_TAKEN = (_S.FAILED, _S.EXPIRED)


@dataclass(frozen=True, slots=True)
class Counts:
    """See the module's docstring."""

    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int
    failed: int

    def rate(self, part: str, whole: str, digits: int) -> float | None:
        """A rate in per cent, rounded; None where there is nothing to divide by."""
        divisor = getattr(self, whole)
        return round(100 * getattr(self, part) / divisor, digits) if divisor else None


@dataclass(frozen=True, slots=True)
class Window:
    """From and until, the latter exclusive."""

    since: datetime
    until: datetime


def last_days(days: int) -> Window:
    """Today and the days before it, in UTC."""
    tomorrow = datetime.combine(clock.now().date(), time(), UTC) + timedelta(days=1)
    return Window(tomorrow - timedelta(days=days), tomorrow)


def counts(tenant_id: int, window: Window | None = None) -> Counts:
    """Of all outbound email of a tenant, or of that which was accepted in a window."""
    with transaction() as session:
        return count(session, *_mine(tenant_id, window))


def count(session: Session, *chosen: ColumnElement[bool]) -> Counts:
    """Of the messages of these conditions."""
    return _counts(session.execute(select(*_columns().values()).where(*chosen)).one())


def counts_by(
    session: Session, key: SQLColumnExpression[Any], *chosen: ColumnElement[bool]
) -> dict[Any, Counts]:
    """The same, apart by what `key` is of each."""
    query = select(key, *_columns().values()).where(*chosen).group_by(key)
    return {row[0]: _counts(row[1:]) for row in session.execute(query)}


def timeline(tenant_id: int, days: int) -> list[tuple[date, Counts]]:
    """A line a day, oldest first, with zeros where nothing was sent."""
    window = last_days(days)
    day = func.date(func.timezone("UTC", Message.created_at))
    with transaction() as session:
        found = counts_by(session, day, *_mine(tenant_id, window))
    nothing = Counts(0, 0, 0, 0, 0, 0, 0)
    first = window.since.date()
    every = [first + timedelta(days=offset) for offset in range(days)]
    return [(each, found.get(each, nothing)) for each in every]


def bounces(tenant_id: int, window: Window) -> tuple[int, int]:
    """Hard and soft: whose code (RFC 3463) is a 5 and those with any other."""
    hard = Message.error_code.startswith("5")
    bounced = and_(*_mine(tenant_id, window), Message.status == _S.UNDELIVERED)
    query = select(
        func.count().filter(hard), func.count().filter(or_(~hard, Message.error_code.is_(None)))
    ).where(bounced)
    with transaction() as session:
        row = session.execute(query).one()
    return row[0], row[1]


def bounce_reasons(tenant_id: int, window: Window, limit: int) -> list[tuple[str, int]]:
    """The codes that messages were returned with, the most frequent first."""
    code = func.coalesce(Message.error_code, "unknown")
    bounced = and_(*_mine(tenant_id, window), Message.status == _S.UNDELIVERED)
    return _frequent(select(code, func.count()).where(bounced).group_by(code), limit)


def by_domain(tenant_id: int, window: Window, limit: int) -> list[tuple[str, Counts]]:
    """Counts of the recipients' domains that get most."""
    domain = func.split_part(Message.to_address, "@", 2)
    query = select(domain, *_columns().values()).where(*_mine(tenant_id, window))
    ordered = query.group_by(domain).order_by(func.count().desc(), domain).limit(limit)
    with transaction() as session:
        return [(row[0], _counts(row[1:])) for row in session.execute(ordered)]


def links(tenant_id: int, window: Window, limit: int) -> list[tuple[str, int]]:
    """The links that people followed most, and how often."""
    clicks = and_(*_engaged(tenant_id, window), EmailEngagement.kind == CLICK)
    url = EmailEngagement.url
    return _frequent(select(url, func.count()).where(clicks).group_by(url), limit)


def engagements(tenant_id: int, window: Window) -> Mapping[str, Any]:
    """How often each thing happened, by people, and by machines as far as can be told."""
    kind, machine = EmailEngagement.kind, EmailEngagement.machine
    query = (
        select(kind, machine, func.count())
        .where(*_engaged(tenant_id, window, machines=True))
        .group_by(kind, machine)
    )
    with transaction() as session:
        found = {(row[0], row[1]): row[2] for row in session.execute(query)}
    return {
        "opens": found.get((OPEN, False), 0),
        "machine_opens": found.get((OPEN, True), 0),
        "clicks": found.get((CLICK, False), 0),
        "machine_clicks": found.get((CLICK, True), 0),
        "unsubscriptions": found.get(("unsubscribe", False), 0),
    }


def suppression_list(tenant_id: int, limit: int) -> Sequence[Suppression]:
    """The newest addresses that get nothing."""
    mine = select(Suppression).filter_by(tenant_id=tenant_id, channel="email")
    with transaction() as session:
        return session.scalars(mine.order_by(Suppression.id.desc()).limit(limit)).all()


def complaints(tenant_id: int, window: Window) -> int:
    """How many recipients called a message spam."""
    query = select(func.count()).where(
        Suppression.tenant_id == tenant_id,
        Suppression.channel == "email",
        Suppression.reason == "complaint",
        Suppression.created_at >= window.since,
        Suppression.created_at < window.until,
    )
    with transaction() as session:
        return session.scalars(query).one()


def _counts(row: Sequence[int]) -> Counts:
    total, sent, delivered, opened, clicked, bounced, failed = row
    return Counts(total, sent, delivered, opened, clicked, bounced, failed)


def _frequent(query: Select[*tuple[Any, ...]], limit: int) -> list[tuple[str, int]]:
    with transaction() as session:
        found = session.execute(query.order_by(func.count().desc()).limit(limit))
        return [(row[0], row[1]) for row in found]


def _mine(tenant_id: int, window: Window | None) -> list[ColumnElement[bool]]:
    conditions = [
        Message.tenant_id == tenant_id,
        Message.channel == "email",
        Message.direction == Direction.OUTBOUND,
    ]
    if window is not None:
        conditions += [Message.created_at >= window.since, Message.created_at < window.until]
    return conditions


def _engaged(
    tenant_id: int, window: Window, *, machines: bool = False
) -> list[ColumnElement[bool]]:
    conditions = [
        EmailEngagement.tenant_id == tenant_id,
        EmailEngagement.occurred_at >= window.since,
        EmailEngagement.occurred_at < window.until,
    ]
    return conditions if machines else [*conditions, ~EmailEngagement.machine]


def _columns() -> dict[str, ColumnElement[int]]:
    """The columns of `Counts`, over messages."""
    clicked = exists().where(
        EmailEngagement.message_id == Message.id,
        EmailEngagement.kind == CLICK,
        ~EmailEngagement.machine,
    )
    conditions: dict[str, ColumnElement[bool]] = {
        "total": Message.id.is_not(None),
        "sent": Message.sent_at.is_not(None),
        "delivered": Message.status.in_(_DELIVERED),
        "opened": Message.status == _S.READ,
        "clicked": clicked,
        "bounced": Message.status == _S.UNDELIVERED,
        "failed": Message.status.in_(_NEVER_TAKEN),
    }
    return {
        name: func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
        for name, condition in conditions.items()
    }
