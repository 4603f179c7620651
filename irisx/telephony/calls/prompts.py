"""Audio that a tenant names by URL, kept as a file that the switch plays."""

import hashlib
import os
import tempfile
import time
from pathlib import Path

from irisx.kernel import http
from irisx.kernel.errors import invalid
from irisx.settings import get_settings
from irisx.telephony.calls.convert import NotPlayable, convert

SAMPLE_RATE_HZ = 16_000
MAX_BYTES = 10 * 1024 * 1024
_FETCH_SECONDS = 10.0
#: A file younger than this is played without asking its server again.
_FRESH_SECONDS = 300
_KEPT_SECONDS = 7 * 24 * 3600


def fetch(tenant_id: int, url: str) -> Path:
    """The audio at `url` as a mono 16-bit WAV file of 16 kHz; ValidationError says why not.

    Takes WAV, FLAC, Ogg and MP3. The file's content may be five minutes old.
    """
    path = _path(tenant_id, url)
    if _age_seconds(path) < _FRESH_SECONDS:
        return path
    try:
        reply = http.request("GET", url, timeout=_FETCH_SECONDS, max_bytes=MAX_BYTES)
    except http.HttpFailure as failure:
        raise invalid("url", str(failure)) from failure
    if reply.status != 200:
        raise invalid("url", f"its server answered {reply.status}")
    if reply.truncated:
        raise invalid("url", f"the file is larger than {MAX_BYTES} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _convert(reply.body, path)
    except NotPlayable as error:
        raise invalid("url", f"not audio that can be played: {error}") from error
    return path


def kept(tenant_id: int, url: str) -> Path | None:
    """The audio as it was fetched last, however old; None if it never was or was dropped."""
    path = _path(tenant_id, url)
    return path if path.is_file() else None


def _path(tenant_id: int, url: str) -> Path:
    name = hashlib.sha256(f"{tenant_id} {url}".encode()).hexdigest()
    return get_settings().home / "prompts" / f"{name}.wav"


def _convert(audio: bytes, path: Path) -> None:
    """Write a prompt whole or not at all: the switch may be playing the one before."""
    _drop_old(path.parent)
    descriptor, partial = tempfile.mkstemp(suffix=".part", dir=path.parent)
    os.close(descriptor)
    try:
        convert(audio, {SAMPLE_RATE_HZ: Path(partial)})
        Path(partial).chmod(0o644)  # FreeSWITCH runs as another user
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _drop_old(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_file() and _age_seconds(path) > _KEPT_SECONDS:
            path.unlink(missing_ok=True)


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
