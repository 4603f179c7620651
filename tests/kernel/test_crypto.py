"""Secrets at rest and signed tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel import crypto
from irisx.kernel.crypto import BadToken, decrypt, encrypt, sign, verify


@given(st.text())
def test_what_was_encrypted_is_read_again(secret: str) -> None:
    assert decrypt(encrypt(secret)) == secret


def test_the_stored_form_shows_nothing_and_differs_each_time() -> None:
    stored = encrypt("correct horse")
    assert "correct" not in stored
    assert stored != encrypt("correct horse")


@pytest.mark.parametrize("stored", ["", "x", "gAAAAA"])
def test_what_is_not_ours_is_a_bad_token(stored: str) -> None:
    with pytest.raises(BadToken):
        decrypt(stored)


def test_a_signed_value_is_read_again_for_its_purpose_only() -> None:
    token = sign("recording", {"id": 3}, 60)
    assert verify("recording", token) == {"id": 3}
    with pytest.raises(BadToken):
        verify("cursor", token)


def test_an_expired_token_is_refused() -> None:
    with pytest.raises(BadToken, match="expired"):
        verify("link", sign("link", 1, -1))


@given(st.text(max_size=200))
def test_any_other_text_is_a_bad_token(token: str) -> None:
    with pytest.raises(BadToken):
        verify("link", token)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_token_is_refused(position: int, flip: int) -> None:
    token = bytearray(sign("link", [1, "x"], 60).encode())
    position %= len(token)
    token[position] ^= flip
    changed = token.decode("latin-1")
    # The last character of base64 may have bits that mean nothing.
    if position == len(token) - 1:
        return
    with pytest.raises(BadToken):
        verify("link", changed)


def test_each_purpose_has_a_key_of_its_own() -> None:
    assert crypto.derive_key("jwt") != crypto.derive_key("at-rest")
