"""How a call ended, kept in the switch until an engine has it in the database.

`freeswitch-conf/vars.xml` gives every channel an `api_reporting_hook`
(switch_core_state_machine.c `switch_core_session_reporting_state`) that puts one line into
mod_hash when the channel is gone. The engine deletes the line once the journal has written the
end. So a call that ended while no engine, or no database, was there is still recorded with the
switch's own cause and times, and a call that was dialled is never dialled again.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from irisx.kernel.clock import from_epoch_us
from irisx.telephony.calls.states import Direction

REALM = "irisx_ended"

_LINE = re.compile(rf"D/{REALM}_([0-9a-f-]{{36}})/(.*)\Z")
#: Channels of a version before campaigns have one less.
_FIELDS = (12, 13)


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a channel. Times are the switch's; `answered_at` None: never answered.
    `campaign`: how far the call of a campaign had come (`dialer/stages.py`)."""

    uuid: UUID
    cause: str
    progress_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime
    sip_status: int | None
    hangup_by: str | None
    call_id: UUID | None
    tenant_id: int | None
    direction: Direction | None
    initiated_at: datetime | None
    campaign: str | None = None

    @property
    def duration_ms(self) -> int | None:
        """Answer to end."""
        if self.answered_at is None:
            return None
        return max(0, round((self.ended_at - self.answered_at).total_seconds() * 1000))


def parse_ended(dump: str) -> list[Ended]:
    """The channels in the answer of `hash_dump db irisx_ended`; other lines are not ours."""
    return [ended for line in dump.splitlines() if (ended := _parse_line(line)) is not None]


def _parse_line(line: str) -> Ended | None:
    match = _LINE.match(line)
    fields = match[2].split("|") if match else []
    if match is None or len(fields) not in _FIELDS or fields[0] != "1":
        return None
    _, cause, progress, media, answered, end, sip, by, call, tenant, direction, initiated = fields[
        :12
    ]
    try:
        ended_at = from_epoch_us(end)
        if ended_at is None:
            return None
        return Ended(
            uuid=UUID(match[1]),
            cause=cause,
            progress_at=from_epoch_us(progress) or from_epoch_us(media),
            answered_at=from_epoch_us(answered),
            ended_at=ended_at,
            sip_status=int(sip) if sip else None,
            hangup_by=hangup_side(by),
            call_id=UUID(call) if call else None,
            tenant_id=int(tenant) if tenant else None,
            direction=Direction(direction) if direction else None,
            initiated_at=from_epoch_us(initiated),
            campaign=(fields[12:] or [""])[0] or None,
        )
    except (ValueError, OverflowError):
        return None


def hangup_side(disposition: str | None) -> str | None:
    """Who hung up, from mod_sofia's `sip_hangup_disposition` (recv_bye, send_cancel, …)."""
    if not disposition:
        return None
    return "remote" if disposition.startswith("recv_") else "irisx"
