"""Texts that messaging asks for, sent as SIP MESSAGE by a FreeSWITCH (`tenancy/sip_messages.py`).

The switch sends by `chat` of mod_dptools, which waits for the final answer (20 s at most) and says
only whether that was 2xx; a digest that a carrier asks for is not answered (mod_sofia looks for
credentials in the directory, not in the gateway), so carriers that know us by address are used.

Messages to us are not taken. Without mod_sms, mod_sofia hands each MESSAGE that it accepts on to
whatever address stands in its To header (sofia_presence.c, `sofia_presence_chat_send`): a carriers
profile that took them would be an open relay. `enable-chat` stays off.
"""

import time

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from irisx.kernel.db import transaction
from irisx.telephony.calls.routes import routes_to
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused, CommandTimeout, EslError, UnsafeValue
from irisx.telephony.provisioning import CARRIER_PROFILE
from irisx.telephony.switch import Switch
from irisx.tenancy import sip_messages
from irisx.tenancy.models import Carrier
from irisx.tenancy.sip_message_models import SipMessage, SipMessageStatus

log = structlog.get_logger()

#: Messages that an engine takes at one time.
BATCH = 50
#: mod_sofia gives a MESSAGE up after 20 s; a refusal comes earlier.
_GIVEN_UP_SECONDS = 19.0
_JOB_SECONDS = 25.0
#: No further carrier is asked after this: whoever asked waits for 42 s.
_LAST_TRY_SECONDS = 12.0
_S = SipMessageStatus


def deliver(switch: Switch, row: SipMessage) -> None:
    """Send one message, and write down what became of it."""
    try:
        status, detail = _sent(switch, row)
    except UnsafeValue as error:
        status, detail = _S.UNROUTABLE, f"This text or number can't be sent by SIP: {error}"
    except CommandRefused as error:
        status, detail = _S.UNABLE, f"This FreeSWITCH sends no messages: {error.text}"
    except CommandTimeout:
        status, detail = _S.UNANSWERED, "The switch did not say what became of the message."
    except EslError as error:
        status, detail = _S.UNANSWERED, f"The switch went away: {error}"
    try:
        sip_messages.settle(row, status, detail)
    except SQLAlchemyError as error:  # the asker is in doubt then, and says so
        log.warning("sip_message.not_settled", error=str(error)[:200])


def _sent(switch: Switch, row: SipMessage) -> tuple[SipMessageStatus, str | None]:
    began = time.monotonic()
    carriers = _carriers(row)
    if not carriers:
        return _S.UNROUTABLE, f"No carrier without digest leads to {row.to_number}."
    for carrier in carriers:
        command = commands.chat(
            CARRIER_PROFILE,
            f"{row.from_number}@{carrier.host}",
            f"{row.to_number}@{carrier.host}:{carrier.port};transport={carrier.transport}",
            row.body,
        )
        asked = time.monotonic()
        answer = switch.connection.bgapi(command).wait(_JOB_SECONDS)
        if answer.strip() == "Sent":
            return _S.ACCEPTED, carrier.name
        if time.monotonic() - asked > _GIVEN_UP_SECONDS:
            return _S.UNANSWERED, f"The carrier {carrier.name} did not answer."
        if time.monotonic() - began > _LAST_TRY_SECONDS:
            break
    names = ", ".join(carrier.name for carrier in carriers)
    return _S.REFUSED, f"Not accepted by {names}."


def _carriers(row: SipMessage) -> list[Carrier]:
    """The carriers of the number that ask for no digest, best first."""
    routes = routes_to(row.to_number, row.tenant_id, sandbox=False)
    wanted = [route.carrier_id for route in routes]
    with transaction() as session:
        found = session.scalars(select(Carrier).where(Carrier.id.in_(wanted))).all()
    return sorted(
        (carrier for carrier in found if carrier.username is None),
        key=lambda carrier: wanted.index(carrier.id),
    )
