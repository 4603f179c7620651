"""SMS and MMS."""

from irisx.messaging.channels import Channel
from irisx.messaging.channels.sms.addresses import normalise
from irisx.messaging.channels.sms.keywords import received
from irisx.messaging.channels.sms.service import reply
from irisx.messaging.channels.sms.sip import SipMessages
from irisx.messaging.channels.sms.smpp import Smpp
from irisx.messaging.channels.sms.telnyx import Telnyx
from irisx.messaging.channels.sms.twilio import Twilio

CHANNEL = Channel(
    name="sms",
    sid_prefix="SM",
    identity="phone",
    normalise=normalise,
    providers=(Twilio(), Telnyx(), Smpp(), SipMessages()),
    received=received,
    reply=reply,
)
