"""Opens, clicks and unsubscriptions, through the public links of a message that was sent."""

import re
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict
from irisx.kernel.events import DomainEvent
from irisx.messaging.channels.email import service, statistics
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.models import Message, ProviderAccount, Suppression
from irisx.messaging.states import Category, MessageStatus
from irisx.tenancy.models import Tenant
from tests.messaging.pipeline import load, sent_until
from tests.smtp_server import smtp_server

PERSON = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
HTML = '<html><body><a href="https://shop.example/?a=1&amp;b=2">Shop</a></body></html>'


class Sent:
    """A marketing message as it arrived: its links, by what they are for."""

    def __init__(self, message: Message, mail: bytes) -> None:
        text = mail.replace(b"=\r\n", b"").replace(b"=3D", b"=").decode()
        self.message = message
        self.links = {
            kind: urlsplit(url).path
            for url, kind in re.findall(r"(https?://[^\"<>\s]+/t/([ocu])/[^\"<>\s]+)", text)
        }


@pytest.fixture
def sent(tenant: Tenant, smtp_account: Callable[..., ProviderAccount]) -> Sent:
    with smtp_server() as server:
        smtp_account(server)
        mail = Mail(subject="News", html=HTML, category=Category.MARKETING)
        with transaction() as session:
            message = service.accept(session, tenant.id, "ann@example.com", mail)
        sent_until(message, MessageStatus.SENT)
        [taken] = server.taken
    found = Sent(message, taken.mail)
    assert set(found.links) == {"o", "c", "u"}
    return found


def a_while_ago(message: Message) -> None:
    """It was sent so long ago that a person can have read it."""
    then = clock.now() - timedelta(minutes=5)
    with transaction() as session:
        session.execute(update(Message).where(Message.id == message.id).values(sent_at=then))


def events(kind: str) -> list[DomainEvent]:
    with transaction() as session:
        return list(session.scalars(select(DomainEvent).filter_by(type=kind)))


def test_an_open_by_a_person_is_told_once(app: Flask, sent: Sent) -> None:
    a_while_ago(sent.message)
    for _ in range(2):
        answer = app.test_client().get(sent.links["o"], headers=PERSON)
        assert (answer.status_code, answer.content_type) == (200, "image/gif")
    assert load(sent.message).status is MessageStatus.READ
    assert len(events("email.opened")) == 1


@pytest.mark.parametrize("agent", ["Mozilla/5.0", "Some-Scanner/1.0"])
def test_a_machine_s_open_is_kept_and_not_counted(app: Flask, sent: Sent, agent: str) -> None:
    a_while_ago(sent.message)
    app.test_client().get(sent.links["o"], headers={"User-Agent": agent})
    assert load(sent.message).status is MessageStatus.SENT
    engaged = statistics.engagements(sent.message.tenant_id, statistics.last_days(1))
    assert (engaged["opens"], engaged["machine_opens"]) == (0, 1)


def test_a_click_in_the_moment_of_arrival_is_a_scanner_s(app: Flask, sent: Sent) -> None:
    answer = app.test_client().get(sent.links["c"], headers=PERSON)
    assert answer.status_code == 302
    assert not events("email.clicked")


def test_a_click_leads_where_the_author_linked(app: Flask, sent: Sent) -> None:
    a_while_ago(sent.message)
    answer = app.test_client().get(sent.links["c"], headers=PERSON)
    assert answer.headers["Location"] == "https://shop.example/?a=1&b=2"
    assert load(sent.message).status is MessageStatus.READ
    [event] = events("email.clicked")
    assert event.data["url"] == "https://shop.example/?a=1&b=2"
    counts = statistics.counts(sent.message.tenant_id)
    assert (counts.sent, counts.delivered, counts.opened, counts.clicked) == (1, 1, 1, 1)


def test_a_link_that_was_changed_leads_nowhere(app: Flask, sent: Sent) -> None:
    for forged in (sent.links["c"][:-3] + "abc", "/t/c/" + sent.links["o"].split("/")[-1]):
        answer = app.test_client().get(forged)
        assert answer.status_code == 404
        assert "Location" not in answer.headers


def test_one_click_unsubscribes_and_a_look_does_not(app: Flask, sent: Sent) -> None:
    client = app.test_client()
    page = client.get(sent.links["u"])
    assert "ann@example.com" in page.text
    with transaction() as session:
        assert not session.scalars(select(Suppression)).all()
    for _ in range(2):
        body = {"List-Unsubscribe": "One-Click"}
        assert client.post(sent.links["u"], data=body).status_code == 200
    assert len(events("email.unsubscribed")) == 1
    with pytest.raises(Conflict, match="opted out"), transaction() as session:
        again = Mail(subject="News", text="x", from_="hello@acme.example")
        service.accept(session, sent.message.tenant_id, "Ann@example.com", again)
    client.post(sent.links["u"], data={"do": "subscribe"})
    with transaction() as session:
        assert not session.scalars(select(Suppression)).all()
