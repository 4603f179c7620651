"""Mailboxes that are read over IMAP: everything once, nothing that was there before."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, update

from irisx.kernel import clock
from irisx.kernel.db import transaction
from irisx.messaging import accounts, receiving
from irisx.messaging.channels.email import imap, inboxes
from irisx.messaging.channels.email.models import EmailInbox
from irisx.messaging.models import Message, ProviderAccount, UnreadPart
from irisx.settings import get_settings
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient
from tests.imap_server import ImapServer, imap_server
from tests.messaging.channels.email.conftest import SENDER


def letter(number: int, to: str = SENDER) -> bytes:
    return (
        f"From: Ann <ann@example.com>\r\nTo: {to}\r\nSubject: Number {number}\r\n"
        f"Message-ID: <{number}@example.com>\r\n\r\nHello {number}\r\n"
    ).encode()


def account(tenant: Tenant, server: ImapServer, **changes: Any) -> ProviderAccount:
    box = {"host": "127.0.0.1", "port": server.port, "security": "none", **changes}
    return accounts.create(
        SYSTEM,
        tenant.id,
        channel="email",
        provider="smtp",
        name="Help",
        settings={"host": "127.0.0.1", "security": "none", "imap": box},
        credentials={"imap_username": "help@acme.example", "imap_password": "secret"},
        senders=[SENDER],
    )


def poll() -> EmailInbox:
    """Read the mailbox now, whatever its time; how that went."""
    with transaction() as session:
        session.execute(update(EmailInbox).values(next_at=clock.now()))
    inboxes.poll()
    inboxes.TURNS.join()
    with transaction() as session:
        return session.scalars(select(EmailInbox)).one()


def subjects() -> list[str]:
    with transaction() as session:
        found = session.scalars(select(Message).order_by(Message.created_at, Message.reference))
        return [message.content["subject"] for message in found]


@pytest.fixture
def server() -> Iterator[ImapServer]:
    with imap_server() as server:
        server.put(letter(0))
        yield server


@pytest.fixture
def box(tenant: Tenant, server: ImapServer) -> ProviderAccount:
    """An account whose mailbox was seen once."""
    row = account(tenant, server)
    assert poll().error is None
    return row


def test_what_comes_is_taken_once_and_what_was_there_is_left(
    box: ProviderAccount, server: ImapServer, client: ApiClient
) -> None:
    assert subjects() == []
    server.put(letter(1))
    server.put(letter(2, to="everybody@acme.example"))
    for _ in range(2):
        assert poll().last_uid == 3
    assert subjects() == ["Number 1", "Number 2"]
    talks = client.get("/v1/conversations")["data"]["conversations"]
    assert {talk["our_address"] for talk in talks} == {SENDER}
    assert not [line for line in server.said if "SELECT" in line or "STORE" in line]
    [shown] = client.get("/v1/email/inboxes")["data"]["inboxes"]
    assert (shown["account_id"], shown["error"]) == (box.public_id, None)


def test_more_than_a_turn_takes_is_taken_in_the_next(
    box: ProviderAccount, server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "BATCH", 2)
    for number in range(1, 6):
        server.put(letter(number))
    assert poll().next_at <= clock.now()
    for _ in range(2):
        inboxes.poll()
        inboxes.TURNS.join()
    assert len(subjects()) == 5


def test_a_worker_that_dies_takes_nothing_twice_and_loses_nothing(
    box: ProviderAccount, server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies_after(*given: Any) -> None:
        take(*given)
        raise Killed

    take = receiving.take
    server.put(letter(1))
    server.put(letter(2))
    with monkeypatch.context() as patch:
        patch.setattr(receiving, "take", dies_after)
        poll()
    assert subjects() == ["Number 1"]
    poll()
    assert subjects() == ["Number 1", "Number 2"]


def test_a_mailbox_whose_uids_are_new_is_read_by_date(
    box: ProviderAccount, server: ImapServer
) -> None:
    server.put(letter(1))
    poll()
    server.uid_validity = 2
    server.mails = {7: letter(1), 9: letter(2)}
    inbox = poll()
    assert (inbox.uid_validity, inbox.last_uid) == (2, 9)
    assert subjects() == ["Number 1", "Number 2"]
    assert [line for line in server.said if "SINCE" in line]


@pytest.mark.parametrize("tells_next", [True, False])
def test_the_beginning_is_known_without_uidnext(
    tenant: Tenant, server: ImapServer, tells_next: bool
) -> None:
    server.tells_next = tells_next
    account(tenant, server)
    assert poll().last_uid == 1


def test_our_own_copies_are_no_letters(box: ProviderAccount, server: ImapServer) -> None:
    own = letter(1).replace(b"<1@example.com>", b"<EM" + b"a" * 32 + b"@acme.example>")
    server.put(own)
    assert poll().last_uid == 2
    assert subjects() == []


@pytest.mark.parametrize("mail", [b"\x00\xff no mail", b"", letter(1)])
def test_what_can_t_be_read_stands_in_nobody_s_way(
    box: ProviderAccount, server: ImapServer, mail: bytes
) -> None:
    uid = server.put(mail)
    if mail == letter(1):
        server.sizes[uid] = imap.MAX_BYTES + 1
    server.put(letter(2))
    assert poll().last_uid == 3
    assert subjects() == ["Number 2"]
    with transaction() as session:
        [unread] = session.scalars(select(UnreadPart))
    assert json.loads(unread.part)["uid"] == uid


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "other"}, "AUTHENTICATIONFAILED"),
        ({"hangs_up": "EXAMINE"}, ""),
        ({"hangs_up": "SEARCH"}, ""),
        ({"says": b"* BYE full\r\n"}, ""),
        ({"says": b"HTTP/1.1 400 Bad\r\n\r\n"}, ""),
        ({"sizes": {2: 2**40}, "hangs_up": "SIZE"}, ""),
    ],
)
def test_a_server_that_misbehaves_is_asked_again_later(
    box: ProviderAccount, server: ImapServer, change: dict[str, Any], said: str
) -> None:
    server.put(letter(1))
    before = {name: getattr(server, name) for name in change}
    for name, value in change.items():
        setattr(server, name, value)
    failed = poll()
    assert failed.error is not None
    assert said in failed.error
    assert failed.failures == 1
    assert failed.next_at > clock.now()
    for name, value in before.items():
        setattr(server, name, value)
    recovered = poll()
    assert (recovered.error, recovered.failures) == (None, 0)
    assert subjects() == ["Number 1"]


def test_a_literal_without_end_is_not_read(box: ProviderAccount, server: ImapServer) -> None:
    uid = server.put(letter(1))

    def lies(rest: str) -> tuple[bytes, str]:
        if "PEEK" in rest:
            return f"* 1 FETCH (UID {uid} BODY[] {{{2**40}}}\r\n".encode(), "OK done"
        return honest(rest)

    honest = server._uid
    server._uid = lies  # type: ignore[method-assign]
    assert "bytes at once" in (poll().error or "")


def test_private_addresses_are_not_read(
    tenant: Tenant, server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account(tenant, server)
    monkeypatch.setenv("IRISX_ALLOWED_PRIVATE_HOSTS", "")
    get_settings.cache_clear()
    assert "not a public address" in (poll().error or "")


def test_a_folder_that_is_not_there_is_named(tenant: Tenant, server: ImapServer) -> None:
    account(tenant, server, folder="Help desk")
    assert "Help desk" in (poll().error or "")
