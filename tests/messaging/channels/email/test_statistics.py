"""The deliverability score, and DNS look-ups against a server on loopback."""

from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from gevent.server import DatagramServer

from irisx.messaging.channels.email import dns_health
from irisx.messaging.channels.email.deliverability import score
from irisx.messaging.channels.email.dns_health import DnsRecord, DnsStatus
from irisx.messaging.channels.email.statistics import Counts
from irisx.settings import get_settings

_GOOD = {name: DnsRecord(DnsStatus.VALID) for name in ("spf", "dkim", "dmarc")}

ZONE = {
    ("good.example", "TXT"): ['"v=spf1 include:mail.example -all"', '"other=1"'],
    ("k1._domainkey.good.example", "TXT"): ['"v=DKIM1; k=rsa; " "p=MIIB"'],
    ("_dmarc.good.example", "TXT"): ['"v=DMARC1; p=reject"'],
    ("good.example", "MX"): ["10 mx.good.example."],
    ("bad.example", "TXT"): ['"v=spf1 +all"'],
    ("k1._domainkey.bad.example", "TXT"): ['"v=DKIM1; p="'],
    ("_dmarc.bad.example", "TXT"): ['"v=DMARC1; p=maybe"'],
    ("bad.example", "MX"): ["0 ."],
    ("two.example", "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"'],
    ("many.example", "TXT"): ['"v=spf1 ' + "include:a.example " * 11 + '-all"'],
    ("open.example", "TXT"): ['"v=spf1 include:mail.example"'],
}


class Dns(DatagramServer):
    """Answers from ZONE; for `away.example` not at all."""

    def handle(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        if name.endswith("away.example"):
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        records = ZONE.get((name, kind))
        if records:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, records))
        elif not any(known == name for known, _ in ZONE):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.socket.sendto(answer.to_wire(), address)


@pytest.fixture
def dns_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = Dns("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("IRISX_DNS_SERVER", f"127.0.0.1:{server.server_port}")
    monkeypatch.setattr(dns_health, "_SECONDS", 1.0)
    get_settings.cache_clear()
    yield
    server.stop()
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("domain", "spf", "dkim", "dmarc", "mx"),
    [
        ("good.example", "valid", "valid", "valid", "valid"),
        ("bad.example", "invalid", "invalid", "invalid", "invalid"),
        ("two.example", "invalid", "missing", "missing", "missing"),
        ("many.example", "invalid", "missing", "missing", "missing"),
        ("open.example", "invalid", "missing", "missing", "missing"),
        ("none.example", "missing", "missing", "missing", "missing"),
    ],
)
def test_records_are_judged(
    dns_server: None, domain: str, spf: str, dkim: str, dmarc: str, mx: str
) -> None:
    found = dns_health.check(domain, "k1")
    assert [found[name].status for name in ("spf", "dkim", "dmarc", "mx")] == [spf, dkim, dmarc, mx]
    for record in found.values():
        assert (record.fix is None) is (record.status is DnsStatus.VALID)


def test_dns_that_is_away_accuses_nobody(dns_server: None) -> None:
    found = dns_health.check("away.example", "k1")
    assert {record.status for record in found.values()} == {DnsStatus.UNKNOWN}


@pytest.mark.parametrize(
    ("sent", "bounced", "complaints", "missing", "expected"),
    [
        (0, 0, 0, 0, 100),
        (1000, 20, 1, 0, 100),
        (1000, 40, 0, 0, 92),
        (1000, 500, 0, 0, 70),
        (1000, 0, 3, 0, 80),
        (1000, 0, 0, 3, 55),
        (1000, 1000, 1000, 3, 0),
    ],
)
def test_the_score_is_its_formula(
    sent: int, bounced: int, complaints: int, missing: int, expected: int
) -> None:
    names = list(_GOOD)
    records = _GOOD | {name: DnsRecord(DnsStatus.MISSING) for name in names[:missing]}
    assert score(Counts(sent, sent, 0, 0, 0, bounced, 0), complaints, records) == expected
