"""Calls that came while no engine was there, as the switch kept them.

The dialplan (dialplans/park.inc) notes every inbound call in FreeSWITCH's memory (mod_hash)
before it waits for an engine; the engine that takes the call deletes the note. What an engine
finds when it connects are calls that nobody took, and perhaps some that wait at this moment.

    hash_dump db irisx_missed            the notes, for `parse_missed`
    hash delete/irisx_missed/<uuid>      once the call is in the database, or taken

A note is a line of eight fields between `|`:

    D/irisx_missed_<uuid>/1|<ingress>|<µs>|<ip>|<gateway>|<user>|<from>|<to>

1 is the format's version; ingress is `carrier` or `agent`; µs the microseconds since 1970 at
which the INVITE came; ip where it came from; gateway the registered trunk it came by; user the
agent's SIP account. The dialplan lets only `A-Z a-z 0-9 + * # . _ -`, at most 64, into
what the caller chose, and leaves the field empty otherwise; so does every field that does not
apply. The notes are lost when FreeSWITCH ends, as its calls are.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

REALM = "irisx_missed"
DUMP = f"hash_dump db {REALM}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTE = re.compile(
    r"D/irisx_missed_(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/1"
    r"\|(?P<ingress>carrier|agent)"
    r"\|(?P<received_us>[0-9]{1,16})"
    r"\|(?P<source_ip>[0-9A-Fa-f.:]{0,45})"
    r"\|(?P<gateway>[A-Za-z0-9_.-]{0,64})"
    r"\|(?P<username>[^|]{0,64})"
    r"\|(?P<caller>[A-Za-z0-9+*#._-]{0,64})"
    r"\|(?P<called>[A-Za-z0-9+*#._-]{0,64})"
)


class Ingress(StrEnum):
    """By which SIP profile a call came in (variable `irisx_ingress`)."""

    CARRIER = "carrier"
    AGENT = "agent"


@dataclass(frozen=True)
class MissedCall:
    """A call in the switch's note. Text that the note does not have is None."""

    uuid: UUID
    ingress: Ingress
    received_at: datetime
    source_ip: str | None
    gateway: str | None
    username: str | None
    caller: str | None
    called: str | None


def parse_missed(dump: str) -> list[MissedCall]:
    """The calls in a reply to `DUMP`, oldest first; lines that are no note are left out."""
    found = (_NOTE.fullmatch(line) for line in dump.split("\n"))
    return sorted((_call(note) for note in found if note), key=lambda call: call.received_at)


def forget(uuid: UUID) -> str:
    """The API command that deletes a call's note."""
    return f"hash delete/{REALM}/{uuid}"


def _call(note: re.Match[str]) -> MissedCall:
    return MissedCall(
        uuid=UUID(note["uuid"]),
        ingress=Ingress(note["ingress"]),
        received_at=_EPOCH + timedelta(microseconds=int(note["received_us"])),
        source_ip=note["source_ip"] or None,
        gateway=note["gateway"] or None,
        username=note["username"] or None,
        caller=note["caller"] or None,
        called=note["called"] or None,
    )
