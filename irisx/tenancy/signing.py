"""How requests to a tenant's programs are signed, other than its webhooks (standard-webhooks):
those of flows, and of voice assistants."""

import base64

from standardwebhooks import Webhook

from irisx.kernel.clock import now
from irisx.kernel.crypto import derive_key


def secret(tenant_id: int) -> str:
    """`whsec_…`, the same for all that a tenant has as long as the installation's key is."""
    return f"whsec_{base64.b64encode(derive_key(f'ivr/webhook/{tenant_id}')).decode()}"


def headers(secret: str, key: str, body: bytes) -> dict[str, str]:
    """The three headers of a signed request. `key`: its `webhook-id`, the same for every try."""
    at = now()
    return {
        "webhook-id": key,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(key, at, body.decode()),
    }
