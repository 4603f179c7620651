"""The page behind the unsubscription link: lists by their public names, and nothing else."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.messaging import accepting
from irisx.messaging.channels.email import service, templates, tracking
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.channels.email.templates import Source
from irisx.messaging.contacts import consents, lists, subject
from irisx.messaging.contacts import service as contacts
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.provider import Outgoing
from irisx.messaging.states import Category, MessageStatus
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.messaging.channels.email.conftest import SENDER
from tests.messaging.pipeline import events, sent_until
from tests.smtp_server import smtp_server


class Page:
    """Ann's page, and lists of her tenant."""

    def __init__(self, app: Flask, tenant: Tenant) -> None:
        self.client = app.test_client()
        self.tenant = tenant
        self.ann = contacts.create(
            SYSTEM, tenant.id, identities=[("email", "ann@example.com")]
        ).row.id
        self.news = self.list("internal 1", "News & <offers>", self.ann)
        self.tips = self.list("internal 2", "Tips")
        self.hidden = self.list("Debtors", None, self.ann)
        with transaction() as session:
            mail = Mail(from_=SENDER, subject="Hi", text="Hi", category=Category.MARKETING)
            message = service.accept(session, tenant.id, "ann@example.com", mail)
        self.url = url_of(message)

    def list(self, name: str, public_name: str | None, *members: int) -> str:
        row = lists.create(SYSTEM, self.tenant.id, name, None, public_name).row
        if members:
            lists.add(SYSTEM, self.tenant.id, row.id, members)
        return row.public_id

    def boxes(self, html: str) -> dict[str, bool]:
        found = re.findall(r'value="(list_\d+)"( checked)?', html)
        return {list_id: bool(checked) for list_id, checked in found}

    def post(self, **form: object) -> str:
        answer = self.client.post(self.url, data=form)
        assert answer.status_code == 200
        return answer.text

    def members(self, list_id: str) -> int:
        return lists.get(self.tenant.id, int(list_id.removeprefix("list_"))).contacts


def url_of(message: Message) -> str:
    outgoing = Outgoing(message.id, "", "email", "", "", "", (), {}, None, 1)
    return "/t/u/" + tracking.unsubscribe_url(outgoing).rpartition("/")[2]


@pytest.fixture
def page(app: Flask, tenant: Tenant) -> Page:
    return Page(app, tenant)


def test_lists_are_shown_by_their_public_names_and_no_others(page: Page) -> None:
    answer = page.client.get(page.url)
    assert page.boxes(answer.text) == {page.news: True, page.tips: False}
    assert "News &amp; &lt;offers&gt;" in answer.text
    for secret in ("Debtors", "internal", page.hidden):
        assert secret not in answer.text
    assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
    assert "http" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_choice_is_kept_and_told(page: Page) -> None:
    shown = page.post(do="save", list=[page.tips])
    assert page.boxes(shown) == {page.news: False, page.tips: True}
    assert "saved" in shown
    assert (page.members(page.news), page.members(page.tips), page.members(page.hidden)) == (
        0,
        1,
        1,
    )
    page.post(do="save", list=[page.tips])
    [told] = events("email.preferences_changed")
    assert (told["joined"], told["left"]) == ([page.tips], [page.news])


def test_a_form_that_names_other_lists_changes_nothing(
    page: Page, make_tenant: Callable[..., Tenant]
) -> None:
    theirs = lists.create(SYSTEM, make_tenant("Other").id, "Theirs", None, "Theirs").row.public_id
    page.post(do="save", list=[page.news, page.hidden, theirs, "list_x", "../../"])
    assert (page.members(page.news), page.members(page.hidden)) == (1, 1)
    assert not events("email.preferences_changed")


def test_unsubscribing_and_back_stand_in_the_ledger(page: Page) -> None:
    gone = page.post(do="unsubscribe", next="https://evil.example/")
    assert "Subscribe again" in gone
    assert page.boxes(gone) == {}
    page.post(do="subscribe")
    ledger = consents.ledger(page.tenant.id, page.ann)
    assert [line.action for line in ledger] == ["opt_in", "opt_out"]


def test_a_recipient_who_is_no_contact_becomes_one_by_joining(page: Page) -> None:
    with transaction() as session:
        mail = Mail(from_=SENDER, subject="Hi", text="Hi")
        page.url = url_of(service.accept(session, page.tenant.id, "new@example.com", mail))
    assert page.boxes(page.post(do="save")) == {page.news: False, page.tips: False}
    assert page.boxes(page.post(do="save", list=[page.tips]))[page.tips] is True


def test_who_was_erased_has_no_page(page: Page) -> None:
    subject.erase(SYSTEM, page.tenant.id, page.ann)
    assert page.client.get(page.url).status_code == 404
    assert page.client.post(page.url, data={"do": "save"}).status_code == 404


@pytest.mark.parametrize(
    ("html", "category", "links"),
    [
        ("<p>Hi</p>", Category.MARKETING, 1),
        ("<html><body><p>Hi</p></BODY></html>", Category.MARKETING, 1),
        ('<a href="{{ unsubscribe_url }}">No more</a>', Category.MARKETING, 1),
        ('<a href="{{ unsubscribe_url }}">No more</a>', Category.TRANSACTIONAL, 1),
        ("<p>Hi</p>", Category.TRANSACTIONAL, 0),
    ],
)
def test_marketing_has_a_link_that_people_see(
    tenant: Tenant,
    smtp_account: Callable[..., ProviderAccount],
    html: str,
    category: Category,
    links: int,
) -> None:
    source = Source("Hi", html, "Hi {{ unsubscribe_url }}" if "{{" in html else "Hi")
    made = templates.create(SYSTEM, tenant.id, "T", source)
    assert made.version.variables == []
    with smtp_server() as server:
        smtp_account(server)
        with transaction() as session:
            mail = Mail(template_id=made.row.id, category=category)
            message = service.accept(session, tenant.id, "ann@example.com", mail)
        accepting.wake_senders()
        sent_until(message, MessageStatus.SENT)
    body = server.taken[0].mail.partition(b"\r\n\r\n")[2].replace(b"=\r\n", b"").decode()
    text, _, markup = body.partition("text/html")
    assert text.count("/t/u/") == links
    assert markup.count("/t/u/") == links
    assert "irisx-unsubscribe" not in body
    with transaction() as session:
        assert session.scalars(select(Message)).one().status is MessageStatus.SENT
