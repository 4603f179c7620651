"""Opens, clicks and unsubscriptions: signed links, so that nobody can make one of their own.

A click's target stands in its link under our signature, so the redirect leads nowhere else.
"""

import re
from html import escape, unescape
from typing import Any
from uuid import UUID

from irisx.kernel import crypto
from irisx.messaging.channels.email.content import MailContent
from irisx.messaging.provider import Outgoing
from irisx.settings import get_settings

_YEAR = 365 * 24 * 3600
_OPEN = "email/open"
_CLICK = "email/click"
_UNSUBSCRIBE = "email/unsubscribe"
_LINK = re.compile(
    r"""(?P<before><a\b[^>]*?\bhref\s*=\s*)(?P<quote>["'])(?P<url>https?://[^"'<>\s]+)(?P=quote)""",
    re.IGNORECASE,
)
END_OF_BODY = re.compile(r"</body\s*>", re.IGNORECASE)

#: A transparent picture of one pixel.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


def unsubscribe_url(message: Outgoing) -> str:
    """Where a GET asks and a POST unsubscribes (RFC 8058)."""
    return _url("u", crypto.sign(_UNSUBSCRIBE, [message.id.hex], _YEAR))


def instrumented(message: Outgoing, content: MailContent) -> str:
    """The HTML part with the links and the picture that tell of clicks and opens."""
    html = content.html or ""
    if content.track_clicks:
        html = _LINK.sub(lambda found: _tracked(message, found), html)
    if content.track_opens:
        source = _url("o", crypto.sign(_OPEN, [message.id.hex], _YEAR)) + ".gif"
        picture = f'<img src="{source}" width="1" height="1" alt="">'
        end = END_OF_BODY.search(html)
        at = end.start() if end else len(html)
        html = html[:at] + picture + html[at:]
    return html


def opened(token: str) -> UUID:
    """The message whose picture was fetched. Raises BadToken."""
    return _message(crypto.verify(_OPEN, token))


def clicked(token: str) -> tuple[UUID, str]:
    """The message whose link was followed, and where it leads. Raises BadToken."""
    value = crypto.verify(_CLICK, token)
    return _message(value), str(value[1])


def unsubscribed(token: str) -> UUID:
    """The message whose recipient wants no more. Raises BadToken."""
    return _message(crypto.verify(_UNSUBSCRIBE, token))


def _message(value: Any) -> UUID:
    return UUID(value[0])


def _tracked(message: Outgoing, found: re.Match[str]) -> str:
    target = unescape(found["url"])
    link = _url("c", crypto.sign(_CLICK, [message.id.hex, target], _YEAR))
    return f"{found['before']}{found['quote']}{escape(link)}{found['quote']}"


def _url(kind: str, token: str) -> str:
    return f"{get_settings().base_url}/t/{kind}/{token}"
