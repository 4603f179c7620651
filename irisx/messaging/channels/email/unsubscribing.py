"""The link in a message by which its recipient unsubscribes or chooses lists.

An author places it as `{{ unsubscribe_url }}`; marketing without one gets it at its end, since
one-click headers alone are seen by mail programs and not by people.
"""

from html import escape

from irisx.messaging.channels.email.content import UNSUBSCRIBE_MARK
from irisx.messaging.channels.email.tracking import END_OF_BODY, unsubscribe_url
from irisx.messaging.provider import Outgoing

_FOOTER = (
    '<p style="font:12px sans-serif;color:#666">'
    '<a href="{url}" style="color:#666">Unsubscribe or choose what you get</a></p>'
)


def in_text(message: Outgoing, text: str, *, ask: bool) -> str:
    """The plain text with the link; `ask`: also where its author placed none."""
    if UNSUBSCRIBE_MARK in text:
        return text.replace(UNSUBSCRIBE_MARK, unsubscribe_url(message))
    if not ask:
        return text
    return f"{text.rstrip()}\n\nUnsubscribe or choose what you get:\n{unsubscribe_url(message)}\n"


def in_html(message: Outgoing, html: str, *, ask: bool) -> str:
    """The HTML with the link; `ask`: also where its author placed none."""
    url = escape(unsubscribe_url(message))
    if UNSUBSCRIBE_MARK in html:
        return html.replace(UNSUBSCRIBE_MARK, url)
    if not ask:
        return html
    end = END_OF_BODY.search(html)
    at = end.start() if end else len(html)
    return html[:at] + _FOOTER.format(url=url) + html[at:]
