"""Whether a domain's DNS lets its mail arrive: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489)
and MX, by real look-ups, with the fix in words."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.resolver

from irisx.settings import get_settings

_SECONDS = 4.0
_MAX_LOOKUPS = 10


class DnsStatus(StrEnum):
    """`unknown`: DNS did not answer, which says nothing about the record."""

    VALID = "valid"
    MISSING = "missing"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """`record`: what is there; `fix`: what to do about it, None where nothing is."""

    status: DnsStatus
    record: str | None = None
    fix: str | None = None


def check(domain: str, selector: str | None) -> dict[str, DnsRecord]:
    """The records of a sender's domain; `selector`: of its DKIM key, None where none is set."""
    return {
        "spf": _asked(lambda: _spf(domain)),
        "dkim": _asked(lambda: _dkim(domain, selector)),
        "dmarc": _asked(lambda: _dmarc(domain)),
        "mx": _asked(lambda: _mx(domain)),
    }


def _asked(look: Callable[[], DnsRecord]) -> DnsRecord:
    try:
        return look()
    except dns.exception.DNSException as error:
        reason = type(error).__name__
        return DnsRecord(DnsStatus.UNKNOWN, fix=f"DNS did not answer ({reason}); check again.")


def _spf(domain: str) -> DnsRecord:
    found = [text for text in _texts(domain) if text.lower().split(" ")[0] == "v=spf1"]
    if not found:
        return DnsRecord(
            DnsStatus.MISSING,
            fix=f'Add a TXT record to {domain}: "v=spf1 include:<your mail provider> -all".',
        )
    if len(found) > 1:
        return DnsRecord(
            DnsStatus.INVALID,
            " | ".join(found),
            f"{domain} has {len(found)} SPF records; merge them into one (RFC 7208 §3.2).",
        )
    record = found[0]
    terms = record.lower().split()[1:]
    lookups = sum(
        bool(re.match(r"[+?~-]?(?:include:|a\b|mx\b|ptr\b|exists:)|redirect=", term))
        for term in terms
    )
    if lookups > _MAX_LOOKUPS:
        fix = f"It needs {lookups} look-ups of {_MAX_LOOKUPS} (RFC 7208 §4.6.4); remove some."
        return DnsRecord(DnsStatus.INVALID, record, fix)
    if "+all" in terms or "all" in terms:
        fix = "“+all” lets everybody send as you; end it with “-all” or “~all”."
        return DnsRecord(DnsStatus.INVALID, record, fix)
    if not any(term.endswith("all") or term.startswith("redirect=") for term in terms):
        return DnsRecord(DnsStatus.INVALID, record, "End it with “-all” or “~all”.")
    return DnsRecord(DnsStatus.VALID, record)


def _dkim(domain: str, selector: str | None) -> DnsRecord:
    if selector is None:
        fix = "Set dkim_domain, dkim_selector and dkim_private_key of the email account."
        return DnsRecord(DnsStatus.MISSING, fix=fix)
    name = f"{selector}._domainkey.{domain}"
    found = [text for text in _texts(name) if "p=" in text]
    if not found:
        fix = f'Add a TXT record to {name}: "v=DKIM1; k=rsa; p=<public key>".'
        return DnsRecord(DnsStatus.MISSING, fix=fix)
    key = _tags(found[0]).get("p", "")
    if not key:
        fix = f"The key at {name} is revoked (p= is empty); publish the public key."
        return DnsRecord(DnsStatus.INVALID, found[0], fix)
    return DnsRecord(DnsStatus.VALID, found[0])


def _dmarc(domain: str) -> DnsRecord:
    name = f"_dmarc.{domain}"
    found = [text for text in _texts(name) if text.replace(" ", "").lower().startswith("v=dmarc1")]
    if not found:
        fix = f'Add a TXT record to {name}: "v=DMARC1; p=none; rua=mailto:you@{domain}".'
        return DnsRecord(DnsStatus.MISSING, fix=fix)
    policy = _tags(found[0]).get("p", "").lower()
    if len(found) > 1 or policy not in ("none", "quarantine", "reject"):
        fix = f"{name} must be one record with p=none, p=quarantine or p=reject."
        return DnsRecord(DnsStatus.INVALID, " | ".join(found), fix)
    return DnsRecord(DnsStatus.VALID, found[0])


def _mx(domain: str) -> DnsRecord:
    try:
        hosts = [str(each.exchange) for each in _resolver().resolve(domain, "MX")]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        fix = f"{domain} takes no mail, so bounces and replies are lost; add an MX record."
        return DnsRecord(DnsStatus.MISSING, fix=fix)
    if hosts == ["."]:
        fix = f"{domain} says that it takes no mail (RFC 7505); bounces and replies are lost."
        return DnsRecord(DnsStatus.INVALID, ".", fix)
    return DnsRecord(DnsStatus.VALID, ", ".join(host.rstrip(".") for host in sorted(hosts)))


def _texts(name: str) -> Sequence[str]:
    """The TXT records of a name, each in one piece."""
    try:
        answer = _resolver().resolve(name, "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    return [b"".join(record.strings).decode(errors="replace") for record in answer]


def _tags(record: str) -> dict[str, str]:
    """`k=v; …` as a dict."""
    pairs = (part.partition("=") for part in record.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _resolver() -> dns.resolver.Resolver:
    """The machine's resolver, or the one of IRISX_DNS_SERVER (`host:port`)."""
    server = get_settings().dns_server
    if server is None:
        resolver = dns.resolver.Resolver()
    else:
        host, _, port = server.rpartition(":")
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [host]
        resolver.port = int(port)
    resolver.lifetime = _SECONDS
    return resolver
