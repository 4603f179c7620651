"""Texts as SIP MESSAGE (RFC 3428), through FreeSWITCH and the platform's carriers.

An engine hands them to the carriers of the number, best first, until one answers 2xx
(`telephony/text_messages.py`); the two sides meet in `tenancy/sip_messages.py`. There is no
idempotency key, and no receipt: `sent` is the carrier's word.
"""

import time

import gevent

from irisx.messaging.provider import (
    Account,
    AccountModel,
    FailureKind,
    NoCredentials,
    Outgoing,
    Reading,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
)
from irisx.tenancy import sip_messages
from irisx.tenancy.sip_message_models import SipMessage, SipMessageStatus

#: An engine takes a message within this, or it is taken back.
TAKEN_SECONDS = 10.0
#: An attempt ends within this (attempts.ATTEMPT_SECONDS is longer).
SETTLED_SECONDS = 42.0
_LOOK_SECONDS = (0.02, 0.5)
_S = SipMessageStatus
_KINDS = {
    _S.REFUSED: (FailureKind.REJECTED, "SIP_REFUSED"),
    _S.UNANSWERED: (FailureKind.IN_DOUBT, "NO_ANSWER"),
    _S.UNROUTABLE: (FailureKind.REJECTED, "NO_ROUTE"),
    _S.UNABLE: (FailureKind.UNAVAILABLE, "SWITCH_UNABLE"),
}


class SipMessageSettings(AccountModel):
    """Nothing: the carriers are the platform's."""


class SipMessages:
    """The provider."""

    name = "sip"
    idempotent = False
    max_per_second = 10
    Settings = SipMessageSettings
    Credentials = NoCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        if message.media_urls:
            raise SendFailed(FailureKind.REJECTED, "NO_MEDIA", "SIP MESSAGE carries no pictures.")
        asked = SipMessage(
            message_id=message.id,
            attempt=message.attempt,
            tenant_id=account.tenant_id,
            from_number=message.from_,
            to_number=message.to,
            body=message.body,
            status=_S.ASKED,
        )
        shown = {"protocol": "sip", "method": "MESSAGE", "from": message.from_, "to": message.to}
        sip_messages.ask(asked)
        found = _settled(message, wire, shown)
        wire.note(shown | {"body": message.body}, {"status": found.status, "detail": found.detail})
        if found.status is _S.ACCEPTED:
            return Sent(None)
        kind, code = _KINDS[found.status]
        raise SendFailed(kind, code, found.detail or f"The carriers' answer: {found.status}.")

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """Nothing comes over HTTP."""
        return False

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        return Reading()


def _settled(message: Outgoing, wire: Wire, shown: dict[str, str]) -> SipMessage:
    """The outcome. Raises SendFailed if no engine takes the message, or one does and is silent."""
    began = time.monotonic()
    pause, longest = _LOOK_SECONDS
    while True:
        found = sip_messages.outcome(message.id, message.attempt)
        if found is not None:
            return found
        waited = time.monotonic() - began
        if waited > TAKEN_SECONDS and sip_messages.take_back(message.id, message.attempt):
            text = f"No engine with a FreeSWITCH took the message within {TAKEN_SECONDS:g} s."
            wire.note(dict(shown), None, error=text)
            raise SendFailed(FailureKind.UNAVAILABLE, "NO_ENGINE", text)
        if waited > SETTLED_SECONDS:
            text = "The engine that took the message did not say what became of it."
            wire.note(dict(shown), None, error=text)
            raise SendFailed(FailureKind.IN_DOUBT, "NO_ANSWER", text)
        gevent.sleep(pause)
        pause = min(pause * 1.5, longest)
