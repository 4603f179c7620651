"""Texts of published flows are synthesised before the first caller hears them."""

from collections.abc import Iterator

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.errors import Unavailable
from irisx.telephony.ivr import prompts, versions
from irisx.telephony.ivr.audio import Say, Text, template_of
from irisx.telephony.ivr.flow import Flow
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion
from irisx.telephony.ivr.prompt_models import SpokenVersion
from irisx.telephony.ivr.say import words

log = structlog.get_logger()


def speak_published() -> bool:
    """Have the fixed texts of one published flow spoken; True: there may be another.

    Whom the media process does not answer is tried again at the next run.
    """
    unspoken = (
        select(IvrFlowVersion.id)
        .join(
            IvrFlow,
            (IvrFlow.id == IvrFlowVersion.flow_id) & (IvrFlow.published == IvrFlowVersion.number),
        )
        .outerjoin(SpokenVersion, SpokenVersion.version_id == IvrFlowVersion.id)
        .where(IvrFlow.deleted_at.is_(None), SpokenVersion.version_id.is_(None))
        .order_by(IvrFlowVersion.id)
        .limit(1)
    )
    with transaction() as session:
        version_id = session.scalar(unspoken)
    if version_id is None:
        return False
    for text, voice, language in fixed_texts(versions.flow_of(version_id)):
        try:
            prompts.speak(text, voice, language)
        except Unavailable as error:
            if error.code != "SPEECH_UNAVAILABLE":
                log.warning("ivr.not_spoken_yet", version=version_id, reason=error.message)
                return False
            # No voice for its language: callers hear the rest, and the log says so at each call.
            log.error("ivr.text_has_no_voice", version=version_id, reason=error.message)
    with transaction() as session:
        row = {"version_id": version_id, "spoken_at": now()}
        session.execute(insert(SpokenVersion).values(row).on_conflict_do_nothing())
    return True


def fixed_texts(flow: Flow) -> Iterator[tuple[str, str | None, str | None]]:
    """What a flow says whatever happens: text, voice, language."""
    for node in flow.nodes:
        for _, item in node.config.played():
            if "{{" in (template_of(item) or ""):
                continue
            match item:
                case Text():
                    yield item.text.strip(), item.voice, item.language
                case Say():
                    yield words(item), item.voice, item.language
