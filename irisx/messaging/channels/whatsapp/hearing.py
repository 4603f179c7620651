"""What follows from an inbound message, and from what a provider says about an account."""

from sqlalchemy import update
from sqlalchemy.orm import Session

from irisx.messaging.channels.whatsapp import media, sessions, templates, waha
from irisx.messaging.channels.whatsapp.webhook import TEMPLATE_STATUS
from irisx.messaging.conversations.models import Conversation
from irisx.messaging.models import Message, ProviderAccount
from irisx.messaging.provider import Notice

_NOTICES = {TEMPLATE_STATUS: templates.noticed, waha.SESSION_STATUS: sessions.noticed}


def received(session: Session, message: Message) -> None:
    """Its file will be kept; the 24-hour window is the Cloud API's only (`Channel.received`)."""
    media.received(session, message)
    if message.provider == waha.NAME:
        talk = update(Conversation).where(Conversation.id == message.conversation_id)
        session.execute(talk.values(window_expires_at=None))


def noticed(session: Session, account: ProviderAccount, notice: Notice) -> None:
    """Of a template or of a session (`Channel.noticed`)."""
    _NOTICES[notice.kind](session, account, notice)
