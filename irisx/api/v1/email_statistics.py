"""`/v1/emails/stats`, `/v1/email/analytics` and `/v1/email/deliverability`."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from irisx.api.http import Rate, Router
from irisx.api.schemas import (
    Answer,
    FromDate,
    PublicId,
    Query,
    Success,
    Timestamp,
    ToDate,
    WindowQuery,
)
from irisx.api.v1.email import READ, WRITE
from irisx.kernel import clock
from irisx.kernel.errors import invalid
from irisx.messaging.channels.email import deliverability, statistics
from irisx.messaging.channels.email.deliverability import Health
from irisx.messaging.channels.email.dns_health import DnsStatus
from irisx.messaging.channels.email.statistics import Counts, Window
from irisx.tenancy.access import Caller

router = Router("Email Statistics")

_TOP = 20


class EmailAnalyticsQuery(Query):
    """The last thirty days unless it says otherwise."""

    start_date: FromDate | None = None
    end_date: ToDate | None = None

    @property
    def window(self) -> Window:
        until = self.end_date or clock.now()
        since = self.start_date or until - timedelta(days=30)
        if since >= until:
            raise invalid("start_date", "must be before end_date")
        return Window(since, until)


class EmailCounts(Answer):
    total: int = Field(description="Accepted from you.")
    sent: int = Field(description="Taken by a server, whatever came after.")
    delivered: int = Field(description="Known to be: by a receipt, an open or a click.")
    opened: int = Field(description="Messages that a person opened.")
    clicked: int = Field(description="Messages in which a person followed a link.")
    bounced: int = Field(description="Taken, then returned.")
    failed: int = Field(description="Never taken.")


class EmailStats(EmailCounts):
    """EmailRates in whole per cent; null where there is nothing to divide by."""

    delivery_rate: int | None = Field(alias="deliveryRate", description="delivered ÷ sent")
    open_rate: int | None = Field(alias="openRate", description="opened ÷ delivered")


class EmailDay(Answer):
    date: str = Field(examples=["2026-02-17"])
    total: int
    sent: int
    delivered: int
    opened: int
    clicked: int
    bounced: int


class EmailTimeline(Answer):
    timeline: list[EmailDay]
    period: int


class EmailRates(Answer):
    """In per cent with one decimal; null where there is nothing to divide by."""

    delivery_rate: float | None
    bounce_rate: float | None
    open_rate: float | None
    click_rate: float | None


class EmailEngagements(Answer):
    opens: int
    machine_opens: int
    clicks: int
    machine_clicks: int
    unsubscriptions: int


class EmailAnalytics(Answer):
    start_date: Timestamp
    end_date: Timestamp
    counts: EmailCounts
    rates: EmailRates
    engagements: EmailEngagements


class EmailNamedCount(Answer):
    name: str
    count: int


class EmailDomainCounts(EmailCounts, EmailRates):
    domain: str


class EmailDeliverabilityAnalytics(Answer):
    start_date: Timestamp
    end_date: Timestamp
    counts: EmailCounts
    rates: EmailRates
    hard_bounces: int
    soft_bounces: int
    complaints: int
    bounce_reasons: list[EmailNamedCount]
    domains: list[EmailDomainCounts]


class EmailEngagementAnalytics(Answer):
    start_date: Timestamp
    end_date: Timestamp
    rates: EmailRates
    engagements: EmailEngagements
    links: list[EmailNamedCount]


class EmailStatsOf30Days(EmailRates):
    sent_30d: int


class EmailBounceStats(Answer):
    hard_bounces: int
    soft_bounces: int


class SuppressedEmail(Answer):
    id: Annotated[int, PublicId("sup")]
    address: str
    reason: str
    created_at: Timestamp


class SenderDnsRecord(Answer):
    status: DnsStatus
    record: str | None
    fix: str | None = Field(description="What to do about it.")


class EmailDeliverability(Answer):
    stats: EmailStatsOf30Days
    bounce_stats: EmailBounceStats
    overall_score: int = Field(ge=0, le=100)
    suppression_list: list[SuppressedEmail] = Field(
        description="The newest hundred; all stand at /v1/messaging/suppressions."
    )
    insights: list[str]
    dns_records: dict[str, SenderDnsRecord] = Field(description="Of the first sender's domain.")
    domains: dict[str, dict[str, SenderDnsRecord]]
    complaints: int
    checked_at: str


@router.get("/v1/emails/stats", access=READ, answer=Success[EmailStats])
def get_email_stats(caller: Caller) -> dict[str, Any]:
    """Numbers of all your email."""
    counts = statistics.counts(caller.tenant_id)
    rates = {
        "deliveryRate": counts.rate("delivered", "sent", 0),
        "openRate": counts.rate("opened", "delivered", 0),
    }
    return {"data": EmailCounts.model_validate(counts).model_dump() | rates}


@router.get("/v1/emails/stats/timeline", access=READ, answer=Success[EmailTimeline])
def get_email_timeline(caller: Caller, query: WindowQuery) -> dict[str, Any]:
    """EmailCounts a day, by the day on which a message was accepted, in UTC."""
    days = [
        EmailCounts.model_validate(counts).model_dump() | {"date": day.isoformat()}
        for day, counts in statistics.timeline(caller.tenant_id, query.days)
    ]
    return {"data": {"timeline": days, "period": query.days}}


@router.get("/v1/email/analytics", access=READ, answer=Success[EmailAnalytics])
def get_email_analytics(caller: Caller, query: EmailAnalyticsQuery) -> dict[str, Any]:
    """EmailCounts, rates and what recipients did, of a window of time."""
    window = query.window
    return {
        "data": _counted(window, statistics.counts(caller.tenant_id, window))
        | {"engagements": statistics.engagements(caller.tenant_id, window)}
    }


@router.get(
    "/v1/email/analytics/deliverability", access=READ, answer=Success[EmailDeliverabilityAnalytics]
)
def get_email_deliverability_analytics(
    caller: Caller, query: EmailAnalyticsQuery
) -> dict[str, Any]:
    """What arrived and what came back, why, and at which domains."""
    window, tenant = query.window, caller.tenant_id
    hard, soft = statistics.bounces(tenant, window)
    reasons = statistics.bounce_reasons(tenant, window, _TOP)
    return {
        "data": _counted(window, statistics.counts(tenant, window))
        | {
            "hard_bounces": hard,
            "soft_bounces": soft,
            "complaints": statistics.complaints(tenant, window),
            "bounce_reasons": _named(reasons),
            "domains": [
                EmailCounts.model_validate(counts).model_dump() | rates(counts) | {"domain": domain}
                for domain, counts in statistics.by_domain(tenant, window, _TOP)
            ],
        }
    }


@router.get("/v1/email/analytics/engagement", access=READ, answer=Success[EmailEngagementAnalytics])
def get_email_engagement_analytics(caller: Caller, query: EmailAnalyticsQuery) -> dict[str, Any]:
    """Opens, clicks and unsubscriptions, and the links that were followed most."""
    window, tenant = query.window, caller.tenant_id
    return {
        "data": _counted(window, statistics.counts(tenant, window))
        | {
            "engagements": statistics.engagements(tenant, window),
            "links": _named(statistics.links(tenant, window, _TOP)),
        }
    }


@router.get("/v1/email/deliverability", access=READ, answer=Success[EmailDeliverability])
def get_email_deliverability(caller: Caller) -> dict[str, Any]:
    """Rates of thirty days, bounces, suppressed addresses, and your domains' DNS, looked up now."""
    return {"data": _health(deliverability.examine(caller.tenant_id))}


@router.post(
    "/v1/email/deliverability/check",
    access=WRITE,
    answer=Success[EmailDeliverability],
    rate=Rate.BULK,
)
def check_email_deliverability(caller: Caller) -> dict[str, Any]:
    """Look everything up again."""
    return {"data": _health(deliverability.examine(caller.tenant_id))}


def _health(health: Health) -> dict[str, Any]:
    return {
        "stats": rates(health.counts) | {"sent_30d": health.counts.sent},
        "bounce_stats": {
            "hard_bounces": health.hard_bounces,
            "soft_bounces": health.soft_bounces,
        },
        "overall_score": health.overall_score,
        "suppression_list": health.suppression_list,
        "insights": health.insights,
        "dns_records": health.dns_records,
        "domains": health.domains,
        "complaints": health.complaints,
        "checked_at": health.checked_at,
    }


def _counted(window: Window, counts: Counts) -> dict[str, Any]:
    return {
        "start_date": window.since,
        "end_date": window.until,
        "counts": counts,
        "rates": rates(counts),
    }


def rates(counts: Counts) -> dict[str, float | None]:
    return {
        "delivery_rate": counts.rate("delivered", "sent", 1),
        "bounce_rate": counts.rate("bounced", "sent", 1),
        "open_rate": counts.rate("opened", "delivered", 1),
        "click_rate": counts.rate("clicked", "delivered", 1),
    }


def _named(pairs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in pairs]
