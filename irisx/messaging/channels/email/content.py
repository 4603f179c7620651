"""What of an email stands in its row's `content`: all but the addresses and the plain text."""

from typing import Any

from pydantic import BaseModel, ConfigDict

#: Stands for the recipient's own unsubscription link until the message is composed.
UNSUBSCRIBE_MARK = "irisx-unsubscribe:"


class MailFile(BaseModel):
    """An attachment. `location`: of its bytes in the storage. `content_id`: the HTML shows it as
    `cid:…`."""

    model_config = ConfigDict(extra="forbid")

    id: str
    name: str
    type: str
    bytes: int
    location: str
    content_id: str | None = None


class MailContent(BaseModel):
    """`html` None: plain text only. `unsubscribe`: it carries RFC 8058's one-click headers, and a
    link in its text.

    `template_id`, `template_version`: what it was rendered from, with `campaign_id` where a
    campaign sent it and `variant` (a, b) where that tries two subjects.
    """

    model_config = ConfigDict(extra="forbid")

    subject: str
    html: str | None = None
    from_name: str | None = None
    reply_to: str | None = None
    headers: dict[str, str] = {}
    track_opens: bool = False
    track_clicks: bool = False
    unsubscribe: bool = False
    template_id: int | None = None
    template_version: int | None = None
    campaign_id: int | None = None
    variant: str | None = None
    in_reply_to: str | None = None
    attachments: list[MailFile] = []

    def stored(self) -> dict[str, Any]:
        """As JSON for the row, without what is not set."""
        return self.model_dump(mode="json", exclude_defaults=True)
