"""What a text message can come from and go to."""

import re

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
#: GSM 03.40 §9.1.2.5: at most eleven characters of the default alphabet.
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 _.&-]{1,11}")
_SEPARATORS = re.compile(r"[\s().-]")


def normalise(text: str) -> str:
    """A number as E.164 (blanks and brackets are dropped), a short code, or a sender's name of at
    most eleven characters. Raises ValueError."""
    if _NAME.fullmatch(text):
        return text
    digits = _SEPARATORS.sub("", text)
    if _E164.fullmatch(digits) or _SHORT_CODE.fullmatch(digits):
        return digits
    raise ValueError("neither a number (E.164, +15555550100), a short code nor a sender's name")


def is_number(address: str) -> bool:
    """Whether it is E.164."""
    return _E164.fullmatch(address) is not None
