"""The sandbox: the provider of every channel where a tenant has no account, and of test keys.

Nothing leaves the machine. A message runs through its whole life, and the recipient decides which:
the last four digits of a number, or the name before the `@` (a `+…` in it is ignored).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from irisx.messaging.provider import (
    Account,
    FailureKind,
    Later,
    NoCredentials,
    Outgoing,
    Reading,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
)
from irisx.messaging.states import MessageStatus

NAME = "sandbox"
_SOON = timedelta(milliseconds=200)
_REPLY = timedelta(milliseconds=400)


@dataclass(frozen=True, slots=True)
class Recipient:
    """How a simulated recipient behaves: `failure` of the first `failures` attempts (None: of
    all), then `later`."""

    meaning: str
    later: Sequence[Later] = (Later(_SOON, MessageStatus.DELIVERED),)
    failure: FailureKind | None = None
    failures: int | None = None
    code: str = ""
    opted_out: bool = False


_DELIVERED = Later(_SOON, MessageStatus.DELIVERED)

#: (last four digits, name before the @) -> recipient. Everyone else is as `delivered`.
RECIPIENTS: Mapping[tuple[str, str], Recipient] = {
    ("0110", "delivered"): Recipient("is delivered"),
    ("0111", "undelivered"): Recipient(
        "is accepted, then reported as not delivered",
        (Later(_SOON, MessageStatus.UNDELIVERED, "SANDBOX_UNDELIVERED"),),
    ),
    ("0112", "rejected"): Recipient(
        "is refused for good", (), FailureKind.REJECTED, code="SANDBOX_REJECTED"
    ),
    ("0113", "optedout"): Recipient(
        "is refused: the recipient has opted out, and is suppressed from then on",
        (),
        FailureKind.REJECTED,
        code="SANDBOX_OPTED_OUT",
        opted_out=True,
    ),
    ("0114", "reply"): Recipient(
        "is delivered and answered with “Hello”", (_DELIVERED, Later(_REPLY, reply="Hello"))
    ),
    ("0115", "stop"): Recipient(
        "is delivered and answered with “STOP”", (_DELIVERED, Later(_REPLY, reply="STOP"))
    ),
    ("0116", "busy"): Recipient(
        "is delivered at the second attempt",
        failure=FailureKind.UNAVAILABLE,
        failures=1,
        code="SANDBOX_BUSY",
    ),
    ("0117", "doubt"): Recipient(
        "gets no answer from the provider: the status is `unknown`",
        (),
        FailureKind.IN_DOUBT,
        code="SANDBOX_NO_ANSWER",
    ),
    ("0118", "silent"): Recipient("is accepted, and nothing is heard of it again", ()),
    ("0119", "read"): Recipient(
        "is delivered and read", (_DELIVERED, Later(_REPLY, MessageStatus.READ))
    ),
}
_BY_NAME = {name: recipient for names, recipient in RECIPIENTS.items() for name in names}


def recipient_of(address: str) -> Recipient:
    """The simulated recipient behind a number or an e-mail address."""
    local, at, _ = address.partition("@")
    digits = re.sub(r"\D", "", local)
    key = local.partition("+")[0].lower() if at and not digits else digits[-4:]
    return _BY_NAME.get(key, RECIPIENTS["0110", "delivered"])


class Sandbox:
    """The provider. It is not `idempotent`, so that doubt can be tried."""

    name = NAME
    idempotent = False
    max_per_second = None
    Settings = NoCredentials
    Credentials = NoCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        recipient = recipient_of(message.to)
        request = {"sandbox": True, "from": message.from_, "to": message.to, "body": message.body}
        failing = recipient.failure is not None and (
            recipient.failures is None or message.attempt <= recipient.failures
        )
        if recipient.failure is not None and failing:
            wire.note(request, None, error=recipient.code)
            raise SendFailed(
                recipient.failure,
                recipient.code,
                f"The sandbox recipient {recipient.meaning}.",
                opted_out=recipient.opted_out,
            )
        wire.note(request, {"sandbox": True, "accepted": True})
        return Sent(f"sandbox-{message.sid}", later=recipient.later)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """Nobody posts to the sandbox."""
        return False

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        return Reading()


SANDBOX = Sandbox()
