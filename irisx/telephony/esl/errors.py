"""What can go wrong between IRISX and a switch."""

#: mod_event_socket's answer to `sendmsg`, mod_commands' to `uuid_…`.
_GONE = ("-ERR invalid session id", "-ERR No such channel")


class EslError(Exception):
    """Root of everything that the Event Socket room raises."""


class UnsafeValue(EslError, ValueError):
    """A value must not reach the switch. `field` names the value, never quotes it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class WireError(EslError):
    """The peer does not speak the Event Socket protocol: the connection is not usable further."""


class Disconnected(EslError):
    """No session with the switch, or it ended before the answer came.

    Whether a command that was already written had its effect is unknown: ask the switch
    (`uuid_exists` for an originate) before trying again.
    """


class CommandTimeout(EslError):
    """The switch did not answer in time. The late answer is dropped when it comes."""


class CommandRefused(EslError):
    """The switch answered -ERR or -USAGE; `text` is its answer without line ends."""

    def __init__(self, command: str, text: str) -> None:
        super().__init__(f"{command}: {text}")
        self.command = command
        self.text = text

    @property
    def channel_gone(self) -> bool:
        """Whether it is refused because the channel has hung up."""
        return self.text.startswith(_GONE)


class AuthenticationFailed(EslError):
    """Wrong password, or the switch's ACL refuses this host."""


class ChannelGone(EslError):
    """The channel hung up before the application ended; `cause` is FreeSWITCH's hangup cause."""

    def __init__(self, channel: str, cause: str) -> None:
        super().__init__(f"channel {channel} hung up: {cause}")
        self.channel = channel
        self.cause = cause
