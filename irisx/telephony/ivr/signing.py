"""The secret with which a tenant's flows sign their requests (standard-webhooks)."""

import base64

from irisx.kernel.crypto import derive_key


def secret(tenant_id: int) -> str:
    """`whsec_…`, the same for all of a tenant's flows as long as the installation's key is."""
    return f"whsec_{base64.b64encode(derive_key(f'ivr/webhook/{tenant_id}')).decode()}"
