"""How well a tenant's mail arrives: rates of thirty days, bounces, DNS of its senders' domains.

The score: 100, less 15 for each of SPF, DKIM and DMARC that is not valid (nothing for `unknown`),
less 4 for each per cent of bounces beyond 2 (30 at most), less 100 for each per cent of complaints
beyond 0.1 (40 at most). The thresholds are those that large mailbox providers publish.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from irisx.kernel import clock
from irisx.kernel.clock import isoformat
from irisx.kernel.db import transaction
from irisx.messaging.channels.email import dns_health, statistics
from irisx.messaging.channels.email.addresses import domain_of
from irisx.messaging.channels.email.dns_health import DnsRecord, DnsStatus
from irisx.messaging.channels.email.statistics import Counts
from irisx.messaging.models import ProviderAccount, Suppression

DAYS = 30
SHOWN_SUPPRESSIONS = 100
MAX_DOMAINS = 10
_BOUNCES_ALLOWED = 2.0
_COMPLAINTS_ALLOWED = 0.1
_NO_DNS = {
    name: DnsRecord(DnsStatus.MISSING, fix="No email account of yours names a sender yet.")
    for name in ("spf", "dkim", "dmarc", "mx")
}


@dataclass(frozen=True, slots=True)
class Health:
    """`dns_records`: of the first sender's domain; `domains`: of each of them."""

    counts: Counts
    hard_bounces: int
    soft_bounces: int
    complaints: int
    overall_score: int
    suppression_list: Sequence[Suppression]
    insights: list[str]
    dns_records: dict[str, DnsRecord]
    domains: dict[str, dict[str, DnsRecord]]
    checked_at: str


def examine(tenant_id: int) -> Health:
    """Look everything up now."""
    window = statistics.last_days(DAYS)
    counts = statistics.counts(tenant_id, window)
    hard, soft = statistics.bounces(tenant_id, window)
    complaints = statistics.complaints(tenant_id, window)
    domains = {
        domain: dns_health.check(domain, selector)
        for domain, selector in _domains(tenant_id).items()
    }
    insights = [*_about_rates(counts, hard + soft, complaints), *_about_dns(domains)]
    return Health(
        counts=counts,
        hard_bounces=hard,
        soft_bounces=soft,
        complaints=complaints,
        overall_score=score(counts, complaints, next(iter(domains.values()), _NO_DNS)),
        suppression_list=statistics.suppression_list(tenant_id, SHOWN_SUPPRESSIONS),
        insights=insights,
        dns_records=next(iter(domains.values()), _NO_DNS),
        domains=domains,
        checked_at=isoformat(clock.now()),
    )


def score(counts: Counts, complaints: int, records: dict[str, DnsRecord]) -> int:
    """0 to 100; the formula stands at the head of this module."""
    faulty = sum(
        records[name].status in (DnsStatus.MISSING, DnsStatus.INVALID)
        for name in ("spf", "dkim", "dmarc")
    )
    bounced = max(0.0, _percent(counts.bounced, counts.sent) - _BOUNCES_ALLOWED)
    complained = max(0.0, _percent(complaints, counts.sent) - _COMPLAINTS_ALLOWED)
    return round(max(0.0, 100 - 15 * faulty - min(30, 4 * bounced) - min(40, 100 * complained)))


def _about_rates(counts: Counts, bounced: int, complaints: int) -> list[str]:
    found = []
    if _percent(bounced, counts.sent) > _BOUNCES_ALLOWED:
        found.append(
            f"{bounced} of {counts.sent} messages bounced, more than {_BOUNCES_ALLOWED:g} %: "
            "check where these addresses come from."
        )
    if _percent(complaints, counts.sent) > _COMPLAINTS_ALLOWED:
        found.append(
            f"{complaints} recipients of {counts.sent} messages complained, more than "
            f"{_COMPLAINTS_ALLOWED:g} %: write only to people who asked for it."
        )
    return found


def _about_dns(domains: dict[str, dict[str, DnsRecord]]) -> list[str]:
    return [
        f"{domain}, {name.upper()}: {record.fix}"
        for domain, records in domains.items()
        for name, record in records.items()
        if record.fix is not None
    ]


def _domains(tenant_id: int) -> dict[str, str | None]:
    """The domains that the tenant sends from, with the DKIM selector of their account."""
    query = select(ProviderAccount).filter_by(tenant_id=tenant_id, channel="email", enabled=True)
    with transaction() as session:
        rows = session.scalars(query.order_by(ProviderAccount.priority, ProviderAccount.id)).all()
    found: dict[str, str | None] = {}
    for row in rows:
        settings: dict[str, Any] = row.settings
        for sender in row.senders:
            domain = domain_of(sender)
            own = settings.get("dkim_domain") == domain
            found.setdefault(domain, settings.get("dkim_selector") if own else None)
    return dict(list(found.items())[:MAX_DOMAINS])


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
