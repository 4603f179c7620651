"""Signatures of webhooks: Standard Webhooks 1.0 (standardwebhooks.com), and a plain HMAC beside."""

import base64
import hashlib
import hmac
import secrets as random_secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook as Signer
from standardwebhooks.webhooks import EmptyWebhookSecretError


def new_secret() -> str:
    """A secret as Standard Webhooks writes it: `whsec_` and 24 random bytes in Base64."""
    return "whsec_" + base64.b64encode(random_secrets.token_bytes(24)).decode()


def _signer(secret: str) -> Signer:
    """The library's reading of a secret (`whsec_` and Base64, read leniently), so that a receiver
    who uses the library with the same text has the same key. A text that it can't read at all is
    the key itself, as UTF-8."""
    try:
        return Signer(secret)
    except (ValueError, EmptyWebhookSecretError):
        return Signer(secret.encode())


def _hex_hmac(secret: str, body: str) -> str:
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()


def signature_headers(
    secrets: Sequence[str], message_id: str, moment: datetime, body: str
) -> dict[str, str]:
    """The headers that prove a message: `secrets` holds the current one, then those that it
    replaced and that still count.

    `X-IRISX-Signature` is for receivers without the library: hex HMAC-SHA256 of the body, keyed
    with the secret's text.
    """
    signatures = [_signer(secret).sign(message_id, moment, body) for secret in secrets]
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
        "X-IRISX-Signature": _hex_hmac(secrets[0], body),
    }
    for previous in secrets[1:]:
        headers["X-IRISX-Signature-Previous"] = _hex_hmac(previous, body)
    return headers
