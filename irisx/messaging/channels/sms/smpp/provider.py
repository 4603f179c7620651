"""The SMPP provider: a worker's bound connections, and messages over them.

Each worker binds once for each account; a carrier that allows fewer binds than there are workers
refuses the others, and their messages are tried again by those that are bound. The protocol knows
no idempotency key: where the connection goes before submit_sm_resp, the message is `unknown`.
"""

import secrets
from datetime import UTC
from typing import Annotated

from pydantic import Field, StringConstraints

from irisx.kernel import clock
from irisx.messaging.channels.sms.addresses import is_number
from irisx.messaging.channels.sms.smpp import text
from irisx.messaging.channels.sms.smpp.pdu import Command, Malformed, Message, Status, message_id
from irisx.messaging.channels.sms.smpp.session import (
    BindRefused,
    ConnectionLost,
    NotConnected,
    Session,
)
from irisx.messaging.channels.sms.smpp.sessions import SESSIONS
from irisx.messaging.provider import (
    Account,
    AccountModel,
    FailureKind,
    Outgoing,
    Reading,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
)

#: Ask for a delivery receipt, of success and of failure (§5.2.17).
_WANTS_RECEIPT = 0x01
_KINDS = {
    Status.THROTTLED: FailureKind.THROTTLED,
    Status.QUEUE_FULL: FailureKind.THROTTLED,
    Status.SYSTEM_ERROR: FailureKind.UNAVAILABLE,
}
#: Type of number and numbering plan (§5.2.5, §5.2.6).
_INTERNATIONAL, _NATIONAL, _NAME = (1, 1), (3, 0), (5, 0)


class SmppSettings(AccountModel):
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 2775
    tls: bool = False
    system_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,15}$")]
    system_type: Annotated[str, StringConstraints(pattern=r"^[!-~]{0,12}$")] = ""


class SmppCredentials(AccountModel):
    password: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,8}$")]


class Smpp:
    """The provider."""

    name = "smpp"
    idempotent = False
    max_per_second = 10
    Settings = SmppSettings
    Credentials = SmppCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        if message.media_urls:
            raise SendFailed(FailureKind.REJECTED, "NO_MEDIA", "SMPP carries no pictures.")
        session = self._session(account)
        coding, parts = text.encode(message.body, secrets.randbelow(256))
        reference = ""
        for number, part in enumerate(parts, 1):
            submit = _submit(message, coding, part, last=number == len(parts), many=len(parts) > 1)
            reference = _submitted(session, submit, wire, sent_before=number - 1)
        return Sent(reference or None)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """Nothing comes over HTTP."""
        return False

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        return Reading()

    def _session(self, account: Account) -> Session:
        try:
            return SESSIONS.of(account)
        except BindRefused as refused:
            wrong = (Status.INVALID_PASSWORD, Status.INVALID_SYSTEM_ID, Status.BIND_FAILED)
            kind = FailureKind.ACCOUNT if refused.status in wrong else FailureKind.UNAVAILABLE
            code = f"SMPP_{refused.status:08X}"
            raise SendFailed(kind, code, f"{refused}".capitalize() + ".") from refused
        except NotConnected as error:
            raise SendFailed(FailureKind.UNAVAILABLE, "SMPP_NOT_CONNECTED", str(error)) from error


def _submit(message: Outgoing, coding: int, part: bytes, *, last: bool, many: bool) -> Message:
    """One part; the last one brings the receipt for all."""
    source_ton, source_npi = _kind_of(message.from_)
    destination_ton, destination_npi = _kind_of(message.to)
    return Message(
        source=message.from_.lstrip("+"),
        destination=message.to.lstrip("+"),
        text=part,
        source_ton=source_ton,
        source_npi=source_npi,
        destination_ton=destination_ton,
        destination_npi=destination_npi,
        esm_class=text.UDH if many else 0,
        validity=_validity(message),
        registered_delivery=_WANTS_RECEIPT if last else 0,
        data_coding=coding,
    )


def _submitted(session: Session, submit: Message, wire: Wire, *, sent_before: int) -> str:
    """Hand one part over; the message centre's id of it. Raises SendFailed: a failure behind parts
    that are sent already leaves doubt, since those can't be taken back."""
    began = clock.now()
    shown = {
        "protocol": "smpp",
        "command": "submit_sm",
        "source_addr": submit.source,
        "destination_addr": submit.destination,
        "data_coding": submit.data_coding,
        "esm_class": submit.esm_class,
        "part": sent_before + 1,
        "short_message": submit.text.hex(),
    }
    try:
        answer = session.request(Command.SUBMIT_SM, submit.encode())
        reference = message_id(answer.body)
    except NotConnected as error:
        wire.note(shown, None, error=str(error), began=began)
        kind = FailureKind.IN_DOUBT if sent_before else FailureKind.UNAVAILABLE
        raise SendFailed(kind, "SMPP_NOT_CONNECTED", str(error)) from error
    except (ConnectionLost, Malformed) as error:
        wire.note(shown, None, error=str(error), began=began)
        raise SendFailed(FailureKind.IN_DOUBT, "NO_ANSWER", str(error)) from error
    response = {"command_status": f"0x{answer.status:08X}", "message_id": reference}
    wire.note(shown, response, began=began)
    if answer.status == Status.OK:
        return reference
    by_status = _KINDS.get(Status(answer.status)) if answer.status in list(Status) else None
    kind = FailureKind.IN_DOUBT if sent_before else by_status or FailureKind.REJECTED
    code = f"SMPP_{answer.status:08X}"
    raise SendFailed(kind, code, f"The message centre refused part {sent_before + 1}.")


def _kind_of(address: str) -> tuple[int, int]:
    if is_number(address):
        return _INTERNATIONAL
    return _NATIONAL if address.isdigit() else _NAME


def _validity(message: Outgoing) -> str:
    """Absolute time, `YYMMDDhhmmsstnnp` (§7.1.1); empty: the message centre's own."""
    if message.expires_at is None:
        return ""
    return message.expires_at.astimezone(UTC).strftime("%y%m%d%H%M%S") + "000+"
