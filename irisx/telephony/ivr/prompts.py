"""Prompts: what a tenant uploads, and the file that each item of a flow's audio is played from."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import structlog
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.kernel.errors import Conflict, IrisxError, invalid
from irisx.kernel.ids import public_id, row_key
from irisx.media.client import SynthesisResult, synthesize
from irisx.settings import get_settings
from irisx.telephony.calls import prompts as urls
from irisx.telephony.calls.convert import NotPlayable, convert
from irisx.telephony.ivr.audio import Audio, AudioUrl, Say, Silence, Text, UploadedPrompt
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion
from irisx.telephony.ivr.prompt_models import Prompt
from irisx.telephony.ivr.say import words
from irisx.tenancy import audit, rows
from irisx.tenancy.access import Actor

log = structlog.get_logger()

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
NARROWBAND_HZ = 8_000
WIDEBAND_HZ = 16_000
_FORMATS = {"WAV": "WAV", "WAVEX": "WAV", "MP3": "MP3", "OGG": "OGG"}
#: Long texts are synthesised at some ten times the speed of speech.
SPEAK_SECONDS = 10.0


# --- uploads ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PromptView:
    """A prompt; `missing`: its files are not there. `used_by`: published flows that play it."""

    row: Prompt
    missing: bool
    used_by: Sequence[str]


def upload(by: Actor, tenant_id: int, name: str, audio: bytes) -> Prompt:
    """Keep audio under a name. Raises ValidationError about `file`, Conflict about the name.

    Takes WAV, MP3 and OGG by what the bytes are, not by what they are called.
    """
    with tempfile.TemporaryDirectory(dir=_made(_root()), prefix=".upload-") as directory:
        made = {rate: Path(directory) / f"{rate}.wav" for rate in (NARROWBAND_HZ, WIDEBAND_HZ)}
        try:
            converted = convert(audio, made)
        except NotPlayable as error:
            raise invalid("file", f"can't be played: {error}") from error
        if converted.format not in _FORMATS:
            raise invalid("file", "is neither WAV nor MP3 nor OGG")
        if converted.duration_ms == 0:
            raise invalid("file", "holds no sound")
        row = Prompt(
            tenant_id=tenant_id,
            name=name,
            source_format=_FORMATS[converted.format],
            size_bytes=len(audio),
            duration_ms=converted.duration_ms,
        )
        with transaction() as session:
            same = select(Prompt.id).where(Prompt.tenant_id == tenant_id, Prompt.name == name)
            if session.scalar(same) is not None:
                raise Conflict(f"There is a prompt named {name!r}.", code="PROMPT_NAME_TAKEN")
            session.add(row)
            audit.created(session, by, row)
            # Before the commit: no row without its files.
            for rate, path in made.items():
                path.chmod(0o644)  # FreeSWITCH runs as another user
                _made(_root() / str(tenant_id))
                path.replace(uploaded_path(tenant_id, row.id, rate))
    return row


def list_page(tenant_id: int, *, limit: int, offset: int) -> tuple[list[PromptView], int]:
    """A page of the tenant's prompts, and how many there are."""
    mine = select(Prompt).where(Prompt.tenant_id == tenant_id)
    with transaction() as session:
        found, total = rows.page(session, mine, limit=limit, offset=offset)
    users = used_by(tenant_id)
    return [_view(row, users) for row in found], total


def _view(row: Prompt, users: dict[str, list[str]]) -> PromptView:
    paths = [uploaded_path(row.tenant_id, row.id, rate) for rate in (NARROWBAND_HZ, WIDEBAND_HZ)]
    missing = not all(path.is_file() for path in paths)
    return PromptView(row, missing, users.get(row.public_id, []))


def delete(by: Actor, tenant_id: int, prompt_id: int) -> None:
    """Raises Conflict while a published flow plays it."""
    with transaction() as session:
        row = rows.fetch(session, Prompt, prompt_id, tenant_id=tenant_id, lock=True)
        if users := used_by(tenant_id).get(row.public_id):
            raise Conflict(f"The flow {users[0]} plays it.", code="PROMPT_IN_USE")
        audit.deleted(session, by, row)
        session.delete(row)
    for rate in (NARROWBAND_HZ, WIDEBAND_HZ):
        uploaded_path(tenant_id, prompt_id, rate).unlink(missing_ok=True)


def used_by(tenant_id: int) -> dict[str, list[str]]:
    """Public ids of the flows whose published version plays a prompt, by the prompt's id."""
    published = (
        select(IvrFlow.id, IvrFlowVersion.uses)
        .join(IvrFlowVersion, IvrFlowVersion.flow_id == IvrFlow.id)
        .where(
            IvrFlow.tenant_id == tenant_id,
            IvrFlow.deleted_at.is_(None),
            IvrFlowVersion.number == IvrFlow.published,
        )
        .order_by(IvrFlow.id)
    )
    users: dict[str, list[str]] = {}
    with transaction() as session:
        for flow_id, uses in session.execute(published):
            for used in uses:
                users.setdefault(used, []).append(public_id(IvrFlow.PREFIX, flow_id))
    return users


def uploaded_path(tenant_id: int, prompt_id: int, rate: int) -> Path:
    """The file of an uploaded prompt: another tenant's has none below this tenant's directory."""
    return _root() / str(tenant_id) / f"{prompt_id}-{rate}.wav"


# --- playing ------------------------------------------------------------------------------------


class NotThere(Exception):
    """An item can't be played; the text says why."""


def file_of(item: Audio, tenant_id: int, *, wideband: bool) -> str:
    """The file to play for a rendered item. May take seconds. Raises NotThere."""
    try:
        match item:
            case Text():
                return _spoken(item.text, item.voice, item.language, wideband)
            case Say():
                return _spoken(words(item), item.voice, item.language, wideband)
            case UploadedPrompt():
                rate = WIDEBAND_HZ if wideband else NARROWBAND_HZ
                path = uploaded_path(tenant_id, row_key("prm", item.prompt), rate)
                if not path.is_file():
                    raise NotThere(f"the prompt {item.prompt} has no file")
                return str(path)
            case AudioUrl():
                return str(_fetched(tenant_id, item.url))
            case Silence():
                return str(_silence(item.silence_ms))
    except IrisxError as error:
        raise NotThere(error.message) from error


def _fetched(tenant_id: int, url: str) -> Path:
    """The audio at a URL; as it was last, where its server fails just now."""
    try:
        return urls.fetch(tenant_id, url)
    except IrisxError as error:
        old = urls.kept(tenant_id, url)
        if old is None:
            raise
        log.warning("ivr.old_audio_played", url=url, reason=error.message)
        return old


def is_at_hand(item: Audio) -> bool:
    """Whether `file_of` will answer at once."""
    match item:
        case Text():
            return _remembered(item.text, item.voice, item.language) is not None
        case Say():
            return _remembered(words(item), item.voice, item.language) is not None
        case AudioUrl():
            return False
    return True


def speak(text: str, voice: str | None, language: str | None) -> SynthesisResult:
    """Synthesise a text; the media process keeps it, and this process where it is kept."""
    result = synthesize(text, voice, language, timeout=SPEAK_SECONDS)
    if len(_spoken_already) >= _REMEMBERED:
        _spoken_already.pop(next(iter(_spoken_already)))
    _spoken_already[text, voice, language] = result
    return result


_REMEMBERED = 5000
_spoken_already: dict[tuple[str, str | None, str | None], SynthesisResult] = {}


def _remembered(text: str, voice: str | None, language: str | None) -> SynthesisResult | None:
    result = _spoken_already.get((text, voice, language))
    return result if result is not None and result.path.is_file() else None


def _spoken(text: str, voice: str | None, language: str | None, wideband: bool) -> str:
    result = _remembered(text, voice, language) or speak(text, voice, language)
    return str(result.wideband_path if wideband else result.path)


@lru_cache(maxsize=1000)
def _silence(milliseconds: int) -> Path:
    path = _made(_root() / "silence") / f"{milliseconds}.wav"
    if not path.is_file():
        samples = np.zeros(milliseconds * NARROWBAND_HZ // 1000, np.int16)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        soundfile.write(str(partial), samples, NARROWBAND_HZ, subtype="PCM_16", format="WAV")
        partial.replace(path)
    return path


def _root() -> Path:
    return get_settings().home / "prompts"


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
