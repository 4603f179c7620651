"""Meta's WhatsApp Business Cloud API.

Source: the Cloud API reference ("Messages", "Webhooks", "Error codes"). The API knows no
idempotency key: a message whose answer is missing is `unknown` until a status tells, which hands
our sid back as `biz_opaque_callback_data`.
"""

import hashlib
import hmac
import json
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from irisx.kernel.http import Reply, retry_after
from irisx.messaging.channels.whatsapp import webhook
from irisx.messaging.channels.whatsapp.graph import error_of
from irisx.messaging.provider import (
    Account,
    AccountModel,
    FailureKind,
    Outgoing,
    Reading,
    ReceiverRequest,
    SendFailed,
    Sent,
    Wire,
    failed_reply,
)

_MAX_CHALLENGE = 200

Id = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]


class WhatsAppCloudSettings(AccountModel):
    phone_number_id: Id
    phone_number: Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")] = Field(
        description="The number behind phone_number_id, E.164: what messages come from."
    )
    business_account_id: Id | None = Field(
        None, description="Meta's id of the WhatsApp business account: for templates."
    )
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=500)] = (
        "https://graph.facebook.com"
    )
    version: Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v25.0"


class WhatsAppCloudCredentials(AccountModel):
    """`verify_token`: what was chosen for the webhook's verification in the app's dashboard."""

    access_token: Annotated[str, StringConstraints(pattern=r"^[!-~]{8,1000}$")]
    app_secret: Annotated[str, StringConstraints(min_length=8, max_length=200)]
    verify_token: Annotated[str, StringConstraints(min_length=8, max_length=200)]


class CloudApi:
    """The provider. 80 messages a second is the throughput of a new number."""

    name = "cloud-api"
    idempotent = False
    max_per_second = 80
    Settings = WhatsAppCloudSettings
    Credentials = WhatsAppCloudCredentials

    def send(self, account: Account, message: Outgoing, wire: Wire) -> Sent:
        settings: WhatsAppCloudSettings = account.settings
        if message.from_ != settings.phone_number:
            raise SendFailed(
                FailureKind.ACCOUNT,
                "WRONG_SENDER",
                f"This account sends from {settings.phone_number}, not from {message.from_}.",
            )
        reply = wire.request(
            "POST",
            f"{settings.base_url}/{settings.version}/{settings.phone_number_id}/messages",
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {account.credentials.access_token}",
            },
            body=json.dumps(body_of(message)).encode(),
        )
        return read_answer(reply)

    def verify(self, account: Account, request: ReceiverRequest) -> bool:
        """A GET by the verify token, a POST by `X-Hub-Signature-256` on the raw body."""
        credentials: WhatsAppCloudCredentials = account.credentials
        if request.method == "GET":
            given = request.query.get("hub.verify_token", "")
            expected = credentials.verify_token
            subscribing = request.query.get("hub.mode") == "subscribe"
            return subscribing and hmac.compare_digest(given.encode(), expected.encode())
        given = request.headers.get("X-Hub-Signature-256", "")
        expected = signature(credentials.app_secret, request.body)
        return hmac.compare_digest(given.encode(), expected.encode())

    def read(self, account: Account, request: ReceiverRequest) -> Reading:
        """All entries of the call that are about this account's number."""
        if request.method == "GET":
            return Reading(body=request.query["hub.challenge"][:_MAX_CHALLENGE])
        settings: WhatsAppCloudSettings = account.settings
        own = webhook.Number(
            settings.phone_number_id,
            settings.phone_number,
            settings.business_account_id,
            media_base=f"{settings.base_url}/{settings.version}",
        )
        return webhook.read(own, json.loads(request.body))


def body_of(message: Outgoing) -> dict[str, Any]:
    """The JSON of a message. A text without `content` comes from the pipeline's own answers."""
    content = message.content or {"type": "text", "text": {"body": message.body}}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": message.to,
        "biz_opaque_callback_data": message.sid,
        **content,
    }


def read_answer(reply: Reply) -> Sent:
    """The message's wamid. Raises SendFailed."""
    if 200 <= reply.status < 300:
        try:
            return Sent(str(json.loads(reply.body)["messages"][0]["id"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            code = f"HTTP_{reply.status}"
            raise failed_reply(reply, code, "WhatsApp's answer has no id.") from None
    error = error_of(reply)
    if error is None:
        raise failed_reply(reply, f"HTTP_{reply.status}", f"WhatsApp answered {reply.status}.")
    if error.kind is not None:
        wait = retry_after(reply)
        raise SendFailed(error.kind, str(error.code), error.text, retry_after=wait)
    raise failed_reply(reply, str(error.code), error.text)


def signature(secret: str, body: bytes) -> str:
    """X-Hub-Signature-256 of a raw body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
