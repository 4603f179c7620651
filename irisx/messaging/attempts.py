"""One attempt at handing a message over, and what becomes of the message."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import gevent
from pydantic import ValidationError as PydanticError

from irisx.kernel import clock
from irisx.kernel.crypto import BadToken
from irisx.kernel.logging import get_logger
from irisx.messaging import accounts
from irisx.messaging.channels.sandbox import SANDBOX
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.provider import (
    Exchange,
    FailureKind,
    Outgoing,
    Provider,
    SendFailed,
    Sent,
    Wire,
    secrets_of,
)
from irisx.messaging.statuses import sid_of

log = get_logger(__name__)

#: Longest time of an attempt; a worker's lease on the message is longer.
ATTEMPT_SECONDS = 45.0

#: Pause before each attempt after the first; the last one goes on until the validity ends.
PAUSES = (
    timedelta(seconds=2),
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
)
#: A provider's own faults, which count against its account.
FAULTS = frozenset({FailureKind.ACCOUNT, FailureKind.UNAVAILABLE, FailureKind.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this worker has taken for its n-th attempt (`number`), with its account;
    None: the sandbox's."""

    message: Message
    account: ProviderAccount | None
    number: int

    @property
    def provider(self) -> Provider:
        return accounts.provider_of(self.account) if self.account else SANDBOX


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt brought: `sent`, or `failure`."""

    claim: Claim
    began_at: datetime
    exchanges: list[Exchange]
    sent: Sent | None = None
    failure: SendFailed | None = None


def attempt(claim: Claim) -> Outcome:
    """Hand the message over. Never raises: whatever goes wrong is the outcome."""
    began = clock.now()
    message = claim.message
    try:
        account = (
            accounts.opened(claim.account)
            if claim.account
            else accounts.sandbox_account(message.tenant_id)
        )
    except (BadToken, PydanticError) as error:
        log.error("credentials can't be read", account=message.account_id, reason=type(error))
        unreadable = SendFailed(
            FailureKind.ACCOUNT, "CREDENTIALS_UNREADABLE", "Enter the credentials again."
        )
        return Outcome(claim, began, [], failure=unreadable)
    wire = Wire(secrets_of(account.credentials))
    too_long = SendFailed(
        FailureKind.IN_DOUBT, "NO_ANSWER", f"No answer within {ATTEMPT_SECONDS:g} s."
    )
    failure: SendFailed
    try:
        with gevent.Timeout(ATTEMPT_SECONDS, too_long):
            sent = claim.provider.send(account, _outgoing(message, claim.number), wire)
        return Outcome(claim, began, wire.exchanges, sent=sent)
    except SendFailed as raised:
        failure = raised
    except Exception:
        log.exception("message_attempt_failed", message=sid_of(message))
        failure = SendFailed(
            FailureKind.IN_DOUBT, "INTERNAL_ERROR", "Internal error; it is in IRISX's log."
        )
    return Outcome(claim, began, wire.exchanges, failure=failure)


def pause_after(number: int, wanted: timedelta = timedelta()) -> timedelta:
    """Time until the attempt after the n-th; at least what the provider asked for."""
    pause = PAUSES[min(number, len(PAUSES)) - 1]
    return max(pause * random.uniform(1.0, 1.2), wanted)


def _outgoing(message: Message, number: int) -> Outgoing:
    content: dict[str, Any] = message.content
    return Outgoing(
        id=message.id,
        sid=sid_of(message),
        channel=message.channel,
        from_=message.from_address,
        to=message.to_address,
        body=message.body,
        media_urls=message.media_urls,
        content=content,
        expires_at=message.expires_at,
        attempt=number,
    )
