"""WhatsApp, by Meta's Cloud API or by a session of a WAHA server."""

from datetime import timedelta

from irisx.messaging.channels import Channel
from irisx.messaging.channels.whatsapp.addresses import normalise
from irisx.messaging.channels.whatsapp.cloud import CloudApi
from irisx.messaging.channels.whatsapp.hearing import noticed, received
from irisx.messaging.channels.whatsapp.service import reply
from irisx.messaging.channels.whatsapp.waha import Waha

CHANNEL = Channel(
    name="whatsapp",
    sid_prefix="WA",
    identity="phone",
    normalise=normalise,
    providers=(CloudApi(), Waha()),
    window=timedelta(hours=24),
    received=received,
    reply=reply,
    noticed=noticed,
)
