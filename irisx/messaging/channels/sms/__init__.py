"""SMS and MMS."""

from irisx.messaging.channels import Channel
from irisx.messaging.channels.sms.addresses import normalise

CHANNEL = Channel(
    name="sms",
    sid_prefix="SM",
    identity="phone",
    normalise=normalise,
    providers=(),
)
