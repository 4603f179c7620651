"""`/t/…`: the links that stand in emails. Their tokens are signed and name one message."""

from contextlib import suppress
from html import escape
from uuid import UUID

from flask import Request, Response, redirect

from irisx.api.auth import PUBLIC
from irisx.api.http import Rate, Router
from irisx.kernel.crypto import BadToken
from irisx.kernel.errors import NotFound
from irisx.messaging.channels.email import engagement, preferences, tracking
from irisx.messaging.channels.email.preferences import Preferences

router = Router("Email Links")

_UNKNOWN = "This link is not one of ours, or it is too old."
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;"
    "color:#222;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}"
    "label{display:block;padding:.4rem 0}input{width:1.1rem;height:1.1rem;margin-right:.6rem}"
    "button{font:inherit;padding:.5rem 1rem;margin-top:.8rem}.done{color:#056636}"
)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<title>Email preferences</title><style>{style}</style>
<body><h1>Email preferences</h1>{done}<p><b>{address}</b> {says}</p>
{topics}<form method="post"><button name="do" value="{verb}">{label}</button></form>
</body></html>"""
_TOPICS = """<form method="post"><h2>What you get</h2>
{boxes}<button name="do" value="save">Save</button></form>
<h2>Everything</h2>
"""
_BOX = '<label><input type="checkbox" name="list" value="{id}"{checked}>{name}</label>\n'
_TEXTS = {True: "gets no more of these emails.", False: "gets these emails."}
_BUTTONS = {
    True: ("subscribe", "Subscribe again"),
    False: ("unsubscribe", "Unsubscribe from everything"),
}
#: The page runs nothing and loads nothing; its forms lead nowhere else.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
_DONE = '<p class="done" role="status">Your choice is saved.</p>'


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
    """Ask before unsubscribing: mail scanners follow links, and must not unsubscribe anybody. The
    lists with a public name can be joined and left."""
    return _page(preferences.of_recipient(_message_of(token)))


@router.post("/t/u/<token>", access=PUBLIC, rate=Rate.NONE, produces="text/html")
def email_unsubscribe(token: str, request: Request) -> Response:
    """Unsubscribe, by the mail program's one click (RFC 8058) or the page's button; or save which
    lists the recipient wants."""
    message_id = _message_of(token)
    match request.form.get("do"):
        case "subscribe":
            found = preferences.resubscribe(message_id)
        case "save":
            found = preferences.choose(message_id, set(request.form.getlist("list")))
        case _:
            found = preferences.unsubscribe(message_id, _agent(request))
    return _page(found, done=True)


def _message_of(token: str) -> UUID:
    try:
        return tracking.unsubscribed(token)
    except BadToken as error:
        raise NotFound(_UNKNOWN) from error


def _page(found: Preferences, *, done: bool = False) -> Response:
    verb, label = _BUTTONS[found.gone]
    boxes = "".join(
        _BOX.format(
            id=topic.list_id,
            name=escape(topic.name),
            checked=" checked" if topic.joined else "",
        )
        for topic in found.topics
    )
    page = _PAGE.format(
        style=_STYLE,
        done=_DONE if done else "",
        address=escape(found.address),
        says=_TEXTS[found.gone],
        topics=_TOPICS.format(boxes=boxes) if boxes and not found.gone else "",
        verb=verb,
        label=label,
    )
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
    return Response(page, content_type="text/html; charset=utf-8", headers=headers)


def _agent(request: Request) -> str:
    return request.headers.get("User-Agent", "")
