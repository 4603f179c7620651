"""`/webhooks/{channel}/{token}`: where providers post receipts and inbound messages."""

from flask import Request, Response
from pydantic import ConfigDict

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.api.schemas import Query
from irisx.messaging.provider import ReceiverRequest
from irisx.messaging.receiving import receive
from irisx.settings import get_settings

router = Router("Receivers")

_RULE = "/webhooks/<channel>/<token>"
#: A letter with its files.
MAX_MAIL_BYTES = 16 * 1024 * 1024
_MEANS = {403: "The signature is not the account's."}


class AnyQuery(Query):
    """Providers add parameters as they like."""

    model_config = ConfigDict(extra="allow")


@router.post(_RULE, access=PUBLIC, rate=Rate.NONE, produces="text/plain", also=_MEANS)
def receive_from_provider(channel: str, token: str, query: AnyQuery, request: Request) -> Response:
    """Take a provider's receipts and inbound messages. The path is an account's `receiver_url`;
    the provider's signature on the body as it came is checked. Raw mail has 16 MiB at most."""
    if channel == "email":
        request.max_content_length = MAX_MAIL_BYTES
    return _answered(channel, token, request)


@router.get(_RULE, access=PUBLIC, rate=Rate.NONE, produces="text/plain", also=_MEANS)
def receive_challenge(channel: str, token: str, query: AnyQuery, request: Request) -> Response:
    """Answer a provider that makes sure of the receiver with a GET."""
    return _answered(channel, token, request)


def _answered(channel: str, token: str, request: Request) -> Response:
    sent = request.query_string.decode("latin-1")
    reading = receive(
        channel,
        token,
        ReceiverRequest(
            method=request.method,
            # As the provider wrote it, whatever proxies made of it: signatures cover it.
            url=get_settings().base_url + request.path + (f"?{sent}" if sent else ""),
            headers=dict(request.headers.items()),
            query=request.args.to_dict(),
            body=request.get_data(),
        ),
    )
    return Response(reading.body, reading.status, content_type=reading.content_type)
