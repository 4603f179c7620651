"""STOP, START and HELP: what an inbound text message may decide by itself.

The words are those that carriers of the United States ask for (CTIA Messaging Principles 5.1).
"""

from sqlalchemy.orm import Session

from irisx.kernel.errors import IrisxError
from irisx.kernel.logging import get_logger
from irisx.messaging import accepting, suppressions
from irisx.messaging.accepting import NewMessage
from irisx.messaging.channels.sms.addresses import is_number
from irisx.messaging.channels.sms.segments import split
from irisx.messaging.contacts import consents
from irisx.messaging.models import Message
from irisx.messaging.statuses import sid_of
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import TenantSettings

log = get_logger(__name__)

STOP = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"}
)
START = frozenset({"START", "UNSTOP", "SUBSCRIBE", "OPTIN", "OPT IN"})
HELP = frozenset({"HELP", "INFO"})


def received(session: Session, message: Message) -> None:
    """Do what the keyword says, if the message is one and nothing else."""
    word = " ".join(message.body.upper().strip(" .!?\n\r\t\"'").split())
    if word not in STOP | START | HELP:
        return
    tenant = session.get_one(Tenant, message.tenant_id)
    settings = TenantSettings.model_validate(tenant.settings)
    key = (message.tenant_id, message.channel, message.from_address)
    reason = suppressions.suppressed(session, [key]).get(key)
    source, evidence = sid_of(message), message.body[:200]
    if word in STOP:
        consents.note(session, *key, consents.OPT_OUT, source=source, evidence=evidence)
        _reply(session, message, settings.sms_stop_reply if reason is None else None)
    elif word in START and reason == "opt_out":
        consents.note(session, *key, consents.OPT_IN, source=source, evidence=evidence)
        _reply(session, message, settings.sms_start_reply)
    elif word in HELP:
        _reply(session, message, settings.sms_help_reply)


def _reply(session: Session, message: Message, text: str | None) -> None:
    if text is None or not is_number(message.from_address):
        return
    try:
        accepting.accept(
            session,
            message.tenant_id,
            NewMessage(
                channel=message.channel,
                from_=message.to_address,
                to=message.from_address,
                body=text,
                content={"encoding": split(text).encoding},
                segments=split(text).count,
                keyword=True,
                test=message.sandbox,
            ),
        )
    except IrisxError as error:  # what was decided holds, whether or not it can be confirmed
        log.warning("a keyword is not answered", message=sid_of(message), reason=error.message)
