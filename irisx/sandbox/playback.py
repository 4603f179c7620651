"""Playing to a party: time passes, commands are obeyed, digits may end it."""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from irisx.sandbox.media import RATE, Source

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel


class Ending(Enum):
    """Why a playback ended."""

    DONE = "done"
    BREAK = "break"
    LEFT = "left"


async def play(
    channel: "Channel", source: Source, stop: Callable[[], bool] = lambda: False
) -> tuple[Ending, int]:
    """Play a source to its end, until `stop()`, `uuid_break`, a move or a hang-up.

    Returns the ending and the samples played. Commands that nest into it suspend it.
    """
    clock = channel.switch.clock
    began = clock.now()
    outer = channel.playing
    channel.playing = (source, began)
    seconds = None if source.samples is None else source.samples / RATE
    try:
        while True:
            if not channel.ready():
                ending = Ending.LEFT
            elif channel.take_break() or stop():
                ending = Ending.BREAK
            elif seconds is not None and clock.now() - began >= seconds:
                ending = Ending.DONE
            else:
                nested = clock.now() if channel.would_obey() else None
                await channel.turn(None if seconds is None else began + seconds - clock.now())
                if nested is not None:
                    began += clock.now() - nested
                    channel.playing = (source, began)
                continue
            break
    finally:
        channel.playing = outer
    played = int((clock.now() - began) * RATE)
    return ending, played if source.samples is None else min(played, source.samples)
