"""`playback`, `read` and `play_and_get_digits` (switch_ivr_play_say.c)."""

import contextlib
import re
from typing import TYPE_CHECKING

from irisx.sandbox.media import MediaError, Source, open_source
from irisx.sandbox.playback import Ending, play

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel


class Heard:
    """Digits taken from a channel's queue, up to a terminator or a length."""

    def __init__(self, channel: "Channel", terminators: str, most: int = 0) -> None:
        named = {"any": "0123456789*#ABCD", "none": ""}
        self.channel = channel
        self.terminators = named.get(terminators.lower(), terminators)
        self.most = most
        self.digits = ""
        self.terminator = ""

    def take(self) -> bool:
        """Take what has arrived; whether anything was."""
        before = len(self.digits) + len(self.terminator)
        while self.channel.digits and not self.complete():
            digit = self.channel.digits.popleft()
            if digit in self.terminators:
                self.terminator = digit
            else:
                self.digits += digit
        return len(self.digits) + len(self.terminator) > before

    def complete(self) -> bool:
        return bool(self.terminator) or bool(self.most and len(self.digits) >= self.most)


def _stream_type(path: str) -> str:
    scheme = path.partition("://")[0]
    return scheme if scheme in ("tone_stream", "local_stream") else ""


async def _play_one(channel: "Channel", path: str, source: Source, heard: Heard | None) -> Ending:
    headers = {"Playback-File-Type": _stream_type(path), "Playback-File-Path": path}
    channel.fire("PLAYBACK_START", headers)
    stop = heard.take if heard is not None else lambda: False
    ending, samples = await play(channel, source, stop)
    channel.variables |= {
        "playback_last_offset_pos": str(samples),
        "playback_seconds": str(samples // 8000),
        "playback_ms": str(samples // 8),
        "playback_samples": str(samples),
    }
    status = "break" if ending is Ending.BREAK else "done"
    channel.fire("PLAYBACK_STOP", headers | {"Playback-Status": status})
    return ending


async def play_file(channel: "Channel", path: str, heard: Heard | None) -> Ending:
    """Play one argument of playback. Raises MediaError when it can't be opened."""
    source = open_source(path)
    return await _play_one(channel, path, source, heard)


def _paths(channel: "Channel", argument: str) -> list[str]:
    delimiter = channel.variables.get("playback_delimiter", "")
    return argument.split(delimiter[0]) if delimiter else [argument]


async def playback(channel: "Channel", argument: str) -> bool:
    """The application: sets `current_application_response` and the terminator variables. True:
    all was played to its end."""
    terminators = channel.variables.get("playback_terminators", "*")
    channel.variables.pop("playback_terminator_used", None)
    heard = Terminating(channel, terminators)
    response, ending = "FILE PLAYED", Ending.DONE
    for path in _paths(channel, argument):
        try:
            ending = await play_file(channel, path, heard)
        except MediaError:
            response = "FILE NOT FOUND"
            continue
        if ending is Ending.LEFT:
            # FreeSWITCH calls a playback that a hang-up ended played, one that a transfer ended
            # an error.
            response = "FILE PLAYED" if not channel.up else "PLAYBACK ERROR"
        if ending is not Ending.DONE:
            break
    channel.variables["current_application_response"] = response
    return response == "FILE PLAYED" and ending is Ending.DONE


class Terminating(Heard):
    """For playback: only terminators end it; other digits are dropped."""

    def take(self) -> bool:
        super().take()
        if self.terminator:
            self.channel.variables["playback_terminator_used"] = self.terminator
        return bool(self.terminator)


def _number(text: str, least: int = 0) -> int:
    return max(int(text), least) if re.fullmatch(r"\d{1,9}", text) else least


async def _read(
    channel: "Channel",
    least: int,
    most: int,
    prompt: str,
    variable: str,
    timeout: int,
    terminators: str,
    digit_timeout: int,
) -> tuple[str, bool]:
    """switch_ivr_read(): the digits, and whether they came in time. Timeouts in ms."""
    most = max(least, most)
    for name in ("read_result", "read_terminator_used", variable):
        channel.variables.pop(name, None)
    heard = Heard(channel, terminators, most)
    if prompt and prompt.lower() != "silence":
        try:
            for path in _paths(channel, prompt):
                if await play_file(channel, path, heard) is not Ending.DONE:
                    break
        except MediaError:
            channel.variables["read_result"] = "failure"
            return "", False
    timed_out = await _collect(channel, heard, timeout, digit_timeout or timeout)
    if heard.terminator:
        channel.variables["read_terminator_used"] = heard.terminator
    if least and len(heard.digits) < least:
        result = "failure"
    elif timed_out:
        result = "timeout"
    else:
        result = "success"
    channel.variables["read_result"] = result
    if variable and heard.digits:
        channel.variables[variable] = heard.digits
    return heard.digits, result != "failure"


async def _collect(channel: "Channel", heard: Heard, timeout: int, digit_timeout: int) -> bool:
    """Wait for more digits; whether it ended by time."""
    clock = channel.switch.clock
    limit = digit_timeout if heard.digits else timeout
    deadline = clock.now() + limit / 1000
    while channel.ready() and not heard.complete():
        if heard.take():
            deadline = clock.now() + digit_timeout / 1000
            continue
        if channel.take_break() or clock.now() >= deadline:
            return True
        await channel.turn(deadline - clock.now())
    return False


async def read(channel: "Channel", argument: str) -> None:
    """`min max prompt variable timeout-ms terminators [digit-timeout-ms]`."""
    fields = [*split_arguments(argument), *[""] * 7]
    await _read(
        channel,
        _number(fields[0]),
        _number(fields[1]),
        fields[2],
        fields[3],
        _number(fields[4], 1000),
        fields[5] or "#",
        _number(fields[6]),
    )


async def play_and_get_digits(channel: "Channel", argument: str) -> None:
    """`min max tries timeout terminators prompt invalid variable regexp digit-timeout failure`."""
    fields = [*split_arguments(argument), *[""] * 11][:11]
    least, most, tries = _number(fields[0]), _number(fields[1]), _number(fields[2])
    timeout, terminators = _number(fields[3], 1000), fields[4] or "#"
    prompt, invalid, variable, pattern = fields[5:9]
    channel.variables.pop(f"{variable}_invalid", None)
    while channel.ready() and tries > 0:
        digits, in_time = await _read(
            channel, least, most, prompt, variable, timeout, terminators, _number(fields[9])
        )
        if least == 0 and not digits and "read_terminator_used" in channel.variables:
            return
        if in_time and digits:
            if not pattern or matches(pattern, digits):
                return
            channel.variables.pop(variable, None)
            channel.variables[f"{variable}_invalid"] = digits
        if not channel.ready():
            return
        with contextlib.suppress(MediaError):
            await play_file(channel, invalid, None)
        tries -= 1
    if fields[10] and channel.ready():
        channel.transfer(*fields[10].split(" ")[:3])


def split_arguments(argument: str) -> list[str]:
    """Blank-separated, quoted with ' (switch_separate_string)."""
    return [quoted or plain for quoted, plain in re.findall(r"'((?:[^'])*)'|(\S+)", argument)]


_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "s": " "}


def unquoted(text: str, delimiter: str = "") -> str:
    """One separated part as its reader gets it (switch_utils.c `cleanup_separated_string`)."""
    found, inside, end, position = [], False, 0, 0
    text = text.lstrip(" ")
    while position < len(text):
        char, following = text[position], text[position + 1 : position + 2]
        if (
            char == "\\"
            and following
            and (following in "'\"\\" or following == delimiter or following in _UNESCAPED)
        ):
            found.append(_UNESCAPED.get(following, following))
            end = len(found)
            position += 2
            continue
        position += 1
        if char == "'" and (inside or "'" in text[position:]):
            inside = not inside
            continue
        found.append(char)
        if char != " " or inside:
            end = len(found)
    return "".join(found[:end])


def matches(pattern: str, digits: str) -> bool:
    """A bad pattern matches nothing."""
    try:
        return re.search(pattern, digits) is not None
    except re.error:
        return False
