"""SMTP submission against a server on loopback that misbehaves."""

import base64
import re
from collections.abc import Callable
from email import message_from_bytes, policy
from urllib.parse import urlsplit

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.errors import ValidationError
from irisx.messaging import accounts
from irisx.messaging.channels.email import service
from irisx.messaging.channels.email.service import Mail
from irisx.messaging.models import Message, MessageExchange, ProviderAccount, Suppression
from irisx.messaging.states import Category, MessageStatus
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.messaging.pipeline import load, sent_until, work
from tests.smtp_server import smtp_server

TO = "customer@example.com"
_S = MessageStatus
MakeAccount = Callable[..., ProviderAccount]


def accepted(tenant: Tenant, to: str = TO, **fields: object) -> Message:
    values = {"subject": "Héllo", "text": "Good day\n.\n", **fields}
    with transaction() as session:
        return service.accept(session, tenant.id, to, Mail(**values))  # type: ignore[arg-type]


def test_a_message_arrives_as_it_was_written(tenant: Tenant, smtp_account: MakeAccount) -> None:
    with smtp_server() as server:
        smtp_account(server)
        message = accepted(
            tenant,
            from_="Acme Ltd <hello@acme.example>",
            html="<p>Good <b>day</b></p>",
            text=None,
            reply_to="help@acme.example",
            headers={"X-Order": "17"},
        )
        sent_until(message, _S.SENT)
    [taken] = server.taken
    mail = message_from_bytes(taken.mail, policy=policy.default)
    assert (taken.sender, taken.recipient) == ("hello@acme.example", TO)
    assert mail["Subject"] == "Héllo"
    assert mail["From"] == "Acme Ltd <hello@acme.example>"
    assert mail["Reply-To"] == "help@acme.example"
    assert mail["X-Order"] == "17"
    assert mail["Message-ID"] == f"<EM{message.id.hex}@acme.example>"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert plain.get_content().strip() == "Good day"
    assert html is not None
    assert "<p>Good <b>day</b></p>" in html.get_content()
    assert "NOTIFY=SUCCESS,FAILURE" in " ".join(server.said)


def test_a_line_that_is_a_dot_ends_nothing(tenant: Tenant, smtp_account: MakeAccount) -> None:
    with smtp_server() as server:
        smtp_account(server)
        sent_until(accepted(tenant), _S.SENT)
    body = message_from_bytes(server.taken[0].mail, policy=policy.default).get_content()
    assert body.splitlines() == ["Good day", "."]


@pytest.mark.parametrize(
    ("replies", "hangs_up_at", "status", "code", "suppressed"),
    [
        ({"RCPT": "550 5.1.1 No such user"}, None, _S.FAILED, "5.1.1", True),
        ({"RCPT": "552 5.2.2 Mailbox full"}, None, _S.FAILED, "5.2.2", False),
        ({"END": "554 5.7.1 Spam"}, None, _S.FAILED, "5.7.1", False),
        ({"RCPT": "450 4.2.0 Greylisted"}, None, _S.QUEUED, "4.2.0", False),
        ({"MAIL": "550 5.7.1 You may not"}, None, _S.QUEUED, "5.7.1", False),
        ({"END": "451 4.3.0 Later"}, None, _S.QUEUED, "4.3.0", False),
        ({}, "RCPT", _S.QUEUED, "CONNECTION_LOST", False),
        ({}, "END", _S.UNKNOWN, "NO_ANSWER", False),
    ],
)
def test_what_a_server_s_reply_means(
    tenant: Tenant,
    smtp_account: MakeAccount,
    replies: dict[str, str],
    hangs_up_at: str | None,
    status: MessageStatus,
    code: str,
    suppressed: bool,
) -> None:
    with smtp_server(replies=replies, hangs_up_at=hangs_up_at) as server:
        smtp_account(server)
        message = accepted(tenant)
        work(lambda: load(message).error_code is not None)
    ended = load(message)
    assert (ended.status, ended.error_code) == (status, code)
    with transaction() as session:
        assert bool(session.scalars(select(Suppression)).all()) is suppressed


def test_messages_share_a_connection_and_a_refused_one_spoils_nothing(
    tenant: Tenant, smtp_account: MakeAccount
) -> None:
    with smtp_server(replies={}) as server:
        smtp_account(server)
        first = sent_until(accepted(tenant), _S.SENT)
        server.replies = {"RCPT": "550 5.1.1 No such user"}
        sent_until(accepted(tenant, "nobody@example.com"), _S.FAILED)
        server.replies = {}
        last = accepted(tenant, "other@example.com")
        work(lambda: load(last).status is _S.SENT)
    assert [each.recipient for each in server.taken] == [first.to_address, "other@example.com"]
    assert server.connections <= 3  # one a Sender at most: each `work` is a new worker


def test_the_password_is_in_no_log(tenant: Tenant, smtp_account: MakeAccount) -> None:
    with smtp_server(password="s3cret-word") as server:
        smtp_account(server, {"username": "acme", "password": "s3cret-word"})
        message = sent_until(accepted(tenant), _S.SENT)
    assert any(line.startswith("AUTH ") for line in server.said)
    with transaction() as session:
        exchanges = session.scalars(select(MessageExchange).filter_by(message_id=message.id)).all()
    assert exchanges
    assert "s3cret-word" not in str([(each.request, each.response) for each in exchanges])


def test_a_signed_message_verifies_and_its_unsubscribe_headers_are_signed(
    tenant: Tenant, smtp_account: MakeAccount
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with smtp_server() as server:
        smtp_account(
            server, {"dkim_private_key": pem}, dkim_domain="acme.example", dkim_selector="k1"
        )
        sent_until(accepted(tenant, category=Category.MARKETING), _S.SENT)
    [taken] = server.taken
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    asked: list[bytes] = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record

    assert dkim.verify(taken.mail, dnsfunc=dns)
    assert asked == [b"k1._domainkey.acme.example."]
    signed = re.search(rb"\bh=([^;]+);", taken.mail.replace(b"\r\n ", b""))
    assert signed is not None
    names = [name.strip().lower() for name in signed[1].split(b":")]
    assert b"list-unsubscribe" in names
    assert b"list-unsubscribe-post" in names


def test_a_key_that_is_none_is_refused_when_it_is_given(smtp_account: MakeAccount) -> None:
    with smtp_server() as server, pytest.raises(ValidationError) as refused:
        smtp_account(server, {"dkim_private_key": "nonsense"})
    assert refused.value.details[0]["field"] == "credentials.dkim_private_key"


def test_the_password_reaches_the_server(tenant: Tenant, smtp_account: MakeAccount) -> None:
    with smtp_server(password="s3cret-word") as server:
        smtp_account(server, {"username": "acme", "password": "s3cret-word"})
        sent_until(accepted(tenant), _S.SENT)
    [auth] = [line for line in server.said if line.startswith("AUTH PLAIN ")]
    assert base64.b64decode(auth.split()[2]) == b"\0acme\0s3cret-word"


def test_an_answer_in_a_conversation_is_in_the_letter_s_thread(
    app: Flask, tenant: Tenant, smtp_account: MakeAccount, client: ApiClient
) -> None:
    letter = (
        b"From: Ann <ann@example.com>\r\nTo: hello@acme.example\r\nSubject: My order\r\n"
        b"Message-ID: <1@example.com>\r\n\r\nWhere is it?"
    )
    with smtp_server() as server:
        account = accounts.receiver_url(smtp_account(server))
        path = urlsplit(account).path
        for _ in range(2):  # a mail server that got no answer posts again
            posted = app.test_client().post(
                path, data=letter, headers={"Authorization": "Bearer inbound-secret-of-the-tests"}
            )
            assert posted.status_code == 200
        forged = app.test_client().post(path, data=letter, headers={"Authorization": "Bearer x"})
        assert forged.status_code == 403
        [conversation] = client.get("/v1/conversations")["data"]["conversations"]
        answer = {"body": "It left today."}
        client.post(f"/v1/conversations/{conversation['id']}/reply", answer, status=201)
        work(lambda: server.taken)
    mail = message_from_bytes(server.taken[0].mail, policy=policy.default)
    assert (mail["To"], mail["Subject"]) == ("ann@example.com", "Re: My order")
    assert mail["In-Reply-To"] == "<1@example.com>"
