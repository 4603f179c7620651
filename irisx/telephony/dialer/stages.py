"""How far the answered call of a campaign has come: what the engine writes and others read.

It stands in the call's row (`options.campaign`), written through the journal as everything of a
call is, so a result has a row to stand on whichever process settles it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from irisx.kernel.clock import isoformat


class Stage(StrEnum):
    """WAITING: for an agent; whether one came, the queue's records say. DROPPED: there was none in
    time, and the safe-harbour message is played. PLAYING: the campaign's message or flow."""

    WAITING = "waiting"
    DROPPED = "dropped"
    PLAYING = "playing"


#: Stages of a call that needs no agent (any more).
PAST_WAITING = frozenset({Stage.DROPPED, Stage.PLAYING})


def reached(options: Mapping[str, Any], stage: Stage, at: datetime, **facts: Any) -> dict[str, Any]:
    """A call's options once the stage is reached; `facts` are kept beside it."""
    campaign = options["campaign"]
    times = {**campaign.get("times", {}), stage.value: isoformat(at)}
    return {**options, "campaign": {**campaign, **facts, "stage": stage.value, "times": times}}


def stage_of(options: Mapping[str, Any]) -> Stage | None:
    """None: the call was not answered, or the engine has not come to it."""
    stage = options.get("campaign", {}).get("stage")
    return None if stage is None else Stage(stage)
