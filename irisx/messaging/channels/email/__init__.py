"""Email."""

from irisx.messaging.channels import Channel
from irisx.messaging.channels.email.addresses import normalise
from irisx.messaging.channels.email.service import reply
from irisx.messaging.channels.email.ses import Ses
from irisx.messaging.channels.email.smtp import Smtp
from irisx.messaging.states import MessageStatus

CHANNEL = Channel(
    name="email",
    sid_prefix="EM",
    identity="email",
    normalise=normalise,
    providers=(Smtp(), Ses()),
    reply=reply,
    event_words={MessageStatus.READ: "opened", MessageStatus.UNDELIVERED: "bounced"},
)
