"""What callers and agents of a queue hear, as files and applications."""

from collections.abc import Sequence
from typing import Any

import structlog

from irisx.kernel.ids import row_key
from irisx.telephony.acd.models import Queue
from irisx.telephony.acd.queues import DEFAULT_MUSIC
from irisx.telephony.calls.consult import MUSIC
from irisx.telephony.ivr import prompts
from irisx.telephony.ivr.audio import Audio, Prompt, Text

log = structlog.get_logger()


def music(queue: Queue, wideband: bool) -> tuple[str, str]:
    """The application that plays a queue's music until it is stopped."""
    if queue.music_on_hold != DEFAULT_MUSIC:
        rate = prompts.WIDEBAND_HZ if wideband else prompts.NARROWBAND_HZ
        path = prompts.uploaded_path(queue.tenant_id, row_key("prm", queue.music_on_hold), rate)
        if path.is_file():
            return ("endless_playback", str(path))
        log.error("acd.music_missing", queue=queue.public_id, prompt=queue.music_on_hold)
    return ("playback", MUSIC)


def prompt_files(prompt: Prompt | None, tenant_id: int, wideband: bool) -> list[str]:
    """The files of a prompt; what is missing is left out and logged. May take seconds."""
    return [] if prompt is None else _files(prompt.audio, tenant_id, wideband)


def spoken(texts: Sequence[str], language: str, tenant_id: int, wideband: bool) -> list[str]:
    return _files([Text(text=text, language=language) for text in texts], tenant_id, wideband)


def _files(items: Sequence[Audio], tenant_id: int, wideband: bool) -> list[str]:
    files = []
    for item in items:
        try:
            files.append(prompts.file_of(item, tenant_id, wideband=wideband))
        except prompts.NotThere as error:
            log.error("acd.prompt_missing", tenant=tenant_id, reason=str(error))
    return files


def target_text(target: Any | None) -> str | None:
    """A target in one word, for records."""
    if target is None:
        return None
    return str(getattr(target, "to", None) or getattr(target, "id", None) or target.type)
