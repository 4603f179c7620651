"""`/t/…`: the links that stand in emails. Their tokens are signed and name one message."""

from contextlib import suppress
from html import escape

from flask import Request, Response, redirect

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.kernel.crypto import BadToken
from irisx.kernel.errors import NotFound
from irisx.messaging.channels.email import engagement, tracking

router = Router("Email Links")

_UNKNOWN = "This link is not one of ours, or it is too old."
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>Email preferences</title>
<body style="font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem">
<h1 style="font-size:1.4rem">Email preferences</h1><p>{said}</p>
<form method="post"><button name="do" value="{verb}"
 style="font:inherit;padding:.5rem 1rem">{label}</button></form></body></html>"""
_TEXTS = {True: "gets no more of these emails.", False: "gets these emails."}
_BUTTONS = {True: ("subscribe", "Subscribe again"), False: ("unsubscribe", "Unsubscribe")}


@router.get("/t/o/<token>", access=PUBLIC, rate=Rate.NONE, produces="image/gif")
def email_opened(token: str, request: Request) -> Response:
    """The picture of one pixel in an email. It is shown whatever the token says."""
    with suppress(BadToken):  # a picture that is missing would only look broken to the reader
        engagement.opened(tracking.opened(token.removesuffix(".gif")), _agent(request))
    return Response(
        tracking.PIXEL, content_type="image/gif", headers={"Cache-Control": "no-store, private"}
    )


@router.get("/t/c/<token>", access=PUBLIC, rate=Rate.NONE, status=302, produces="text/html")
def email_link_clicked(token: str, request: Request) -> Response:
    """Lead on to where the email's author linked; the target stands in the signed token."""
    try:
        message_id, url = tracking.clicked(token)
    except BadToken as error:
        raise NotFound(_UNKNOWN) from error
    engagement.clicked(message_id, url, _agent(request))
    response: Response = redirect(url, 302, Response)  # type: ignore[assignment]
    return response


@router.get("/t/u/<token>", access=PUBLIC, rate=Rate.NONE, produces="text/html")
def email_preferences(token: str) -> Response:
    """Ask before unsubscribing: mail scanners follow links, and must not unsubscribe anybody."""
    try:
        address, gone = engagement.recipient(tracking.unsubscribed(token))
    except BadToken as error:
        raise NotFound(_UNKNOWN) from error
    return _page(address, gone)


@router.post("/t/u/<token>", access=PUBLIC, rate=Rate.NONE, produces="text/html")
def email_unsubscribe(token: str, request: Request) -> Response:
    """Unsubscribe: by the mail program's one click (RFC 8058), or by the page's button."""
    try:
        message_id = tracking.unsubscribed(token)
    except BadToken as error:
        raise NotFound(_UNKNOWN) from error
    if request.form.get("do") == "subscribe":
        return _page(engagement.resubscribe(message_id), gone=False)
    return _page(engagement.unsubscribe(message_id, _agent(request)), gone=True)


def _page(address: str, gone: bool) -> Response:
    verb, label = _BUTTONS[gone]
    said = f"<b>{escape(address)}</b> {_TEXTS[gone]}"
    return Response(
        _PAGE.format(said=said, verb=verb, label=label), content_type="text/html; charset=utf-8"
    )


def _agent(request: Request) -> str:
    return request.headers.get("User-Agent", "")
