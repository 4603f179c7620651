"""Secrets at rest, and signed tokens for cursors and expiring links.

Every use has a key of its own, derived from `IRISX_SECRET_KEY` by HKDF (RFC 5869), so that a
token of one purpose is worthless for another.
"""

import base64
import time
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, URLSafeSerializer

from irisx.settings import SettingMissing, get_settings


class BadToken(ValueError):
    """A token that is not ours, was changed, is of another purpose or has expired."""


def derive_key(purpose: str) -> bytes:
    """32 bytes that only this installation and this purpose have."""
    secret = get_settings().secret_key
    if secret is None:
        raise SettingMissing("IRISX_SECRET_KEY is not set; `irisx up` sets it for its parts")
    hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"irisx/{purpose}".encode())
    return hkdf.derive(secret.get_secret_value().encode())


@lru_cache
def _fernet() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(derive_key("at-rest")))


def encrypt(secret: str) -> str:
    """The form in which a secret is kept in a row (Fernet: AES-128-CBC with HMAC-SHA256)."""
    return _fernet().encrypt(secret.encode()).decode()


def decrypt(stored: str) -> str:
    """What `encrypt` was given; BadToken if it was written under another secret key."""
    try:
        return _fernet().decrypt(stored).decode()
    except InvalidToken:
        raise BadToken("this secret was encrypted under another IRISX_SECRET_KEY") from None


@lru_cache
def _serializer(purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(derive_key(f"sign/{purpose}"))


def sign(purpose: str, value: Any, ttl_seconds: int) -> str:
    """A URL-safe token that carries a JSON value, readable by anybody, for a time."""
    return str(_serializer(purpose).dumps([int(time.time()) + ttl_seconds, value]))


def verify(purpose: str, token: str) -> Any:
    """The value that `sign` was given for the same purpose. Raises BadToken."""
    try:
        expires_at, value = _serializer(purpose).loads(token)
    except (BadData, ValueError, TypeError):
        raise BadToken("the token is not valid") from None
    if expires_at < time.time():
        raise BadToken("the token has expired")
    return value
