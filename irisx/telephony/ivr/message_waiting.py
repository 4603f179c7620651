"""Message waiting (RFC 3842): phones are told how many messages their mailbox has.

The mailbox of a SIP account is its own id (`sip_3`), or the one that it was given, which several
accounts may share. When a mailbox changed, the engine has each of its nodes tell the phones that
are registered there; of a phone that registers mod_sofia asks for (MESSAGE_QUERY), so that what
was lost meanwhile is made up for with the next registration.
"""

from collections.abc import Iterable

import structlog
from sqlalchemy import Row, bindparam, case, func, select
from sqlalchemy.exc import SQLAlchemyError

from irisx.kernel.db import reading
from irisx.kernel.jobs import wake
from irisx.telephony.calls.models import Recording, RecordingStatus
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import EslError, UnsafeValue
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr.visit_models import Message
from irisx.telephony.provisioning import SIP_DOMAIN
from irisx.telephony.switch import Switch
from irisx.tenancy.models import SipAccount

log = structlog.get_logger()

#: What an engine listens to (`kernel.jobs.listen`); the detail is `<tenant's id>:<mailbox>`.
TOPIC = "mailboxes"

_OWN = func.concat(f"{SipAccount.PREFIX}_", SipAccount.id)
_MAILBOX = case((SipAccount.mailbox.is_(None), _OWN), else_=SipAccount.mailbox)
_MESSAGES = (
    select(func.count().label("new"))
    .select_from(Message)
    .join(Recording, Recording.path == Message.path)
    .where(
        Message.tenant_id == SipAccount.tenant_id,
        Message.mailbox == _MAILBOX,
        Message.announced_at.is_not(None),
        Recording.status == RecordingStatus.COMPLETED,
    )
)
_PHONES = select(
    SipAccount.username,
    _MESSAGES.where(Message.heard_at.is_(None))
    .correlate(SipAccount)
    .scalar_subquery()
    .label("new"),
    _MESSAGES.where(Message.heard_at.is_not(None))
    .correlate(SipAccount)
    .scalar_subquery()
    .label("heard"),
)
_OF_MAILBOX = _PHONES.where(
    SipAccount.tenant_id == bindparam("tenant"), bindparam("mailbox") == _MAILBOX
)
_OF_ACCOUNT = _PHONES.where(SipAccount.username == bindparam("username"))


def changed(tenant_id: int, mailbox: str) -> None:
    """A message came, was heard or was deleted, and that is committed. Never blocks or fails."""
    wake(TOPIC, f"{tenant_id}:{mailbox}")


def tell(switches: Iterable[Switch], detail: str) -> None:
    """Tell the phones of a mailbox that changed."""
    tenant, _, mailbox = detail.partition(":")
    try:
        with reading() as connection:
            box = {"tenant": int(tenant), "mailbox": mailbox}
            phones = connection.execute(_OF_MAILBOX, box).all()
    except SQLAlchemyError as error:
        log.warning("mwi.not_told", mailbox=detail, error=str(error)[:200])
        return
    for switch in switches:
        for phone in phones:
            _send(switch, phone)


def answer(switch: Switch, query: Event) -> None:
    """A phone has registered: tell it."""
    username = query.get("Message-Account", "").partition(":")[2].partition("@")[0]
    try:
        with reading() as connection:
            phone = connection.execute(_OF_ACCOUNT, {"username": username}).one_or_none()
    except SQLAlchemyError as error:
        log.warning("mwi.not_answered", account=username, error=str(error)[:200])
        return
    if phone is not None:
        _send(switch, phone, query.get("VM-Call-ID"))


def _send(switch: Switch, phone: Row[str, int, int], registration: str | None = None) -> None:
    name, new, heard = phone
    try:
        command = commands.message_waiting(
            name, SIP_DOMAIN, new=new, heard=heard, registration=registration
        )
        switch.connection.send(command)
    except (EslError, UnsafeValue) as error:
        log.info("mwi.not_sent", switch=switch.name, account=name, reason=str(error))
