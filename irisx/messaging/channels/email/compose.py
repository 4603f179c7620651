"""An email as it goes over the wire (RFC 5322), signed where the account has a DKIM key.

The Message-ID is made from the message's sid, and the bounce address too where the account has a
domain for it (VERP): whatever comes back names the message that it is about.
"""

import re
from collections.abc import Sequence
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from inscriptis import get_text
from pydantic import Field, field_validator

from irisx.kernel import clock
from irisx.messaging.channels.email import attachments, tracking, unsubscribing
from irisx.messaging.channels.email.addresses import domain_of
from irisx.messaging.channels.email.content import MailContent
from irisx.messaging.provider import AccountModel, FailureKind, Outgoing, SendFailed

#: Everything is ASCII on the wire, so no server must know 8BITMIME. Lines as long as RFC 5322
#: allows: in shorter ones the parser's own folding encodes a URL that has no blanks.
_POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=998)
#: RFC 8058 §4: both List-Unsubscribe headers must be under the signature.
_SIGNED_HEADERS = (
    b"from", b"to", b"reply-to", b"subject", b"date", b"message-id", b"mime-version",
    b"content-type", b"list-unsubscribe", b"list-unsubscribe-post",
)  # fmt: skip
_BOUNCE = re.compile(r"bounce\+em([0-9a-f]{32})@")


class Security(StrEnum):
    """`none`: in clear text, for a server on this machine or in a tunnel."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class ImapSettings(AccountModel):
    """A mailbox that is read for inbound mail, and left as it is."""

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(993, ge=1, le=65535)
    security: Security = Field(Security.TLS, strict=False)
    folder: str = Field("INBOX", min_length=1, max_length=200, pattern=r"^[ !#-\[\]-~]+$")


class MailSettings(AccountModel):
    """What the accounts of all email providers may set."""

    imap: ImapSettings | None = None
    dkim_domain: str | None = Field(None, pattern=r"^[A-Za-z0-9.-]{1,253}$")
    dkim_selector: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,63}$")
    bounce_domain: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9.-]{1,253}$",
        description="Bounces go to bounce+<sid>@ this domain; its mail must reach the receiver.",
    )


class MailCredentials(AccountModel):
    """`dkim_private_key`: RSA, PEM; its public half stands at
    <dkim_selector>._domainkey.<dkim_domain>. `inbound_secret`: the bearer token of whoever posts
    raw mail to the account's receiver. `imap_…`: of the mailbox that is read."""

    dkim_private_key: str | None = None
    inbound_secret: str | None = Field(None, min_length=16)
    imap_username: str | None = Field(None, pattern=r"^[!#-\[\]-~]+$", max_length=320)
    imap_password: str | None = Field(None, pattern=r"^[^\x00-\x1f\x7f]+$", max_length=500)

    @field_validator("dkim_private_key")
    @classmethod
    def is_rsa(cls, pem: str | None) -> str | None:
        if pem is None:
            return None
        try:
            key = load_pem_private_key(pem.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError("no private key in PEM") from None
        if not isinstance(key, RSAPrivateKey):
            raise ValueError("not an RSA key")
        # The library that signs reads PKCS#1.
        return key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode()


def message_id(sid: str, from_: str) -> str:
    """The Message-ID of a message, without brackets."""
    return f"{sid}@{domain_of(from_)}"


def envelope_sender(settings: MailSettings, message: Outgoing) -> str:
    """Where bounces go."""
    if settings.bounce_domain is None:
        return message.from_
    return f"bounce+{message.sid.lower()}@{settings.bounce_domain}"


def bounced_sid(address: str) -> str | None:
    """The message that a bounce to this envelope address is about."""
    found = _BOUNCE.match(address.strip("<> ").lower())
    return f"EM{found[1]}" if found else None


def compose(settings: MailSettings, credentials: MailCredentials, message: Outgoing) -> bytes:
    """The whole message. Raises SendFailed ACCOUNT for a DKIM key that can't sign."""
    content = MailContent.model_validate(message.content)
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(content.from_name or "", addr_spec=message.from_)
    mail["To"] = Address(addr_spec=message.to)
    mail["Subject"] = content.subject
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{message_id(message.sid, message.from_)}>"
    if content.reply_to:
        mail["Reply-To"] = content.reply_to
    if content.in_reply_to:
        mail["In-Reply-To"] = mail["References"] = content.in_reply_to
    if content.unsubscribe:
        mail["List-Unsubscribe"] = f"<{tracking.unsubscribe_url(message)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    for name, value in content.headers.items():
        mail[name] = value
    html = tracking.instrumented(message, content) if content.html is not None else None
    text = message.body or (get_text(content.html) if content.html else "")
    mail.set_content(unsubscribing.in_text(message, text, ask=content.unsubscribe))
    if html is not None:
        html = unsubscribing.in_html(message, html, ask=content.unsubscribe)
        mail.add_alternative(html, subtype="html")
    attachments.attach(mail, content.attachments)
    return _signed(bytes(mail), settings, credentials)


def _signed(mail: bytes, settings: MailSettings, credentials: MailCredentials) -> bytes:
    key = credentials.dkim_private_key
    if key is None or settings.dkim_domain is None or settings.dkim_selector is None:
        return mail
    try:
        signature: bytes = dkim.sign(
            mail,
            settings.dkim_selector.encode(),
            settings.dkim_domain.encode(),
            key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=_present(mail),
        )
    except (dkim.DKIMException, ValueError) as error:
        raise SendFailed(
            FailureKind.ACCOUNT, "DKIM_KEY_INVALID", f"The account's DKIM key can't sign: {error}"
        ) from error
    return signature + mail


def _present(mail: bytes) -> Sequence[bytes]:
    head = mail.partition(b"\r\n\r\n")[0].lower()
    return [name for name in _SIGNED_HEADERS if b"\n" + name + b":" in b"\n" + head]
