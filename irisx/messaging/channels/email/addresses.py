"""What an email can come from and go to."""

from email_validator import EmailNotValidError, ValidatedEmail, validate_email


def _read(text: str, *, display_name: bool) -> ValidatedEmail:
    """Raises ValueError. Whether the domain can get mail is no question here: DNS may be away."""
    try:
        return validate_email(
            text,
            check_deliverability=False,
            globally_deliverable=False,
            allow_display_name=display_name,
        )
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None


def normalise(text: str) -> str:
    """An address in lower case, so that one mailbox is suppressed once. Raises ValueError."""
    return _read(text, display_name=False).normalized.lower()


def split(text: str) -> tuple[str, str | None]:
    """`Acme <hello@acme.example>` as address and name (None: without). Raises ValueError."""
    read = _read(text, display_name=True)
    return read.normalized.lower(), read.display_name or None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]
