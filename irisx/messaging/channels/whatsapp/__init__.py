"""WhatsApp, by Meta's Cloud API."""

from datetime import timedelta

from irisx.messaging.channels import Channel
from irisx.messaging.channels.whatsapp.addresses import normalise
from irisx.messaging.channels.whatsapp.cloud import CloudApi
from irisx.messaging.channels.whatsapp.media import received
from irisx.messaging.channels.whatsapp.service import reply
from irisx.messaging.channels.whatsapp.templates import noticed

CHANNEL = Channel(
    name="whatsapp",
    sid_prefix="WA",
    identity="phone",
    normalise=normalise,
    providers=(CloudApi(),),
    window=timedelta(hours=24),
    received=received,
    reply=reply,
    noticed=noticed,
)
