"""A caller of a queue leaves a message."""

import structlog

from irisx.telephony.acd import sound
from irisx.telephony.acd.options import VoicemailTarget
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import EslError
from irisx.telephony.ivr import visits
from irisx.telephony.ivr.step import RecordingPurpose, RecordingRequest
from irisx.telephony.switch import Switch

log = structlog.get_logger()

_BEEP = "tone_stream://%(400,0,1000)"
_SECONDS = 180
_SILENCE_SECONDS = 6
_SILENT_BELOW = 200
#: Flows count their recordings of a call from 1.
_NUMBER = 900


def take_message(switch: Switch, call: LiveCall, target: VoicemailTarget, wideband: bool) -> None:
    """Play the greeting and a beep, record, and hang up: the switch does it without an engine."""
    file = visits.recording_file(call, _NUMBER)
    file.parent.mkdir(parents=True, exist_ok=True)
    request = RecordingRequest(
        purpose=RecordingPurpose.VOICEMAIL,
        max_seconds=_SECONDS,
        min_seconds=1,
        silence_s=_SILENCE_SECONDS,
        terminators="#",
        beep=True,
        mailbox=target.mailbox,
    )
    visits.message(call, file, request)
    greeting = sound.prompt_files(target.greeting, call.tenant_id, wideband)
    record = commands.record(
        str(file), limit_s=_SECONDS, threshold=_SILENT_BELOW, silence_s=_SILENCE_SECONDS
    )
    try:
        switch.execute(
            call.uuid,
            *([] if call.answered_at is not None else [("answer", "")]),
            *[("playback", commands.source(path)) for path in greeting],
            ("playback", _BEEP),
            ("set", "record_fill_cng=true"),
            ("set", "playback_terminators=#"),
            ("record", record),
            ("hangup", "NORMAL_CLEARING"),
        )
    except EslError as error:
        log.info("acd.no_message", sid=call.sid, reason=str(error))
