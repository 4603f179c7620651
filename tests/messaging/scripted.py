"""A provider that does what a test says, in place of the providers of SMS."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from irisx.messaging import accounts, channels
from irisx.messaging.channels import sms
from irisx.messaging.models import ProviderAccount
from irisx.messaging.provider import (
    Account,
    AccountModel,
    Inbound,
    Outgoing,
    Reading,
    Receipt,
    ReceiverRequest,
    Sent,
    Wire,
)
from irisx.messaging.states import MessageStatus
from irisx.tenancy.access import SYSTEM

SECRET = "secret-of-the-scripted-provider"


class Token(AccountModel):
    token: str


class Nothing(AccountModel):
    pass


@dataclass
class Scripted:
    """`answer` is called for each message; `handed` are those that it was called with."""

    answer: Callable[[Account, Outgoing], Sent]
    idempotent: bool = False
    name: str = "scripted"
    max_per_second: int | None = None
    Settings: type[AccountModel] = Nothing
    Credentials: type[AccountModel] = Token
    handed: list[tuple[int, str]] = field(default_factory=list)

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        self.handed.append((account.id, message.sid))
        wire.note({"token": account.credentials.token, "to": message.to}, {"ok": True})
        return self.answer(account, message)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        return request.headers.get("X-Token") == account.credentials.token

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        said = json.loads(request.body)
        receipts = [
            Receipt(**receipt | {"status": MessageStatus(receipt["status"])})
            for receipt in said.get("receipts", [])
        ]
        return Reading(receipts, [Inbound(**m) for m in said.get("messages", [])], body="taken")


@contextmanager
def scripted(answer: Callable[[Account, Outgoing], Sent], **options: object) -> Iterator[Scripted]:
    """SMS with this provider alone."""
    provider = Scripted(answer, **options)  # type: ignore[arg-type]
    before = sms.CHANNEL
    sms.CHANNEL = replace(before, providers=(provider,))
    channels.channel.cache_clear()
    try:
        yield provider
    finally:
        sms.CHANNEL = before
        channels.channel.cache_clear()


def account(tenant_id: int, name: str = "First", **fields: object) -> ProviderAccount:
    """An account with the scripted provider."""
    return accounts.create(
        SYSTEM,
        tenant_id,
        channel="sms",
        provider="scripted",
        name=name,
        settings={},
        credentials={"token": SECRET},
        **fields,  # type: ignore[arg-type]
    )
