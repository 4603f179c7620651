"""Every command that IRISX sends to a switch, as typed builders: the only way text gets there.

FreeSWITCH expands `${...}` in application arguments and in the values of variables, again and
again, and `${system(...)}` runs a shell (switch_channel.c `switch_channel_expand_variables_check`);
a backslash does not escape it. A line end starts a new protocol header. So every value passes
`safe` or a stricter grammar, and a whole command passes `safe` once more when it is made.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from irisx.telephony.esl.errors import UnsafeValue

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]|\$\{|\$\(")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")
# Variables whose value the switch runs as a command or an application.
_RUNNING_NAME = re.compile(r"(^|_)(api|exec|execute|hook|system|lua)(_|$)", re.IGNORECASE)
_CAUSE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_NUMBER = re.compile(r"\+?[A-Za-z0-9*#._\-]{1,64}")
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.\-]{0,251}[A-Za-z0-9])?"
_HOST_NAME = re.compile(_HOST)
_SIP_URI = re.compile(
    rf"[A-Za-z0-9+*#._\-]{{1,64}}@{_HOST}(?::\d{{1,5}})?(?:;transport=(?:udp|tcp|tls))?"
)
_PATH = re.compile(r"/[A-Za-z0-9._/\-]{1,255}")
_DIGITS = re.compile(r"[0-9A-DwW*#]{1,64}")
_PATTERN = re.compile(r"[A-Za-z0-9*#^$|()\[\]?+.,{}\-]{1,128}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_:.\-]{0,127}")
_PLAIN = re.compile(r"[A-Za-z0-9_:.+\-]{1,256}")
# What `multiset` takes for one assignment and leaves as it is: no blanks, quotes or backslashes.
_ASSIGNMENT = re.compile(r"[A-Za-z0-9_.\-]+=[A-Za-z0-9_:.+*#!/\-]*")
_STREAM = re.compile(
    r"(?:local_stream://[A-Za-z0-9_\-]+(?:/\d+)?"
    r"|silence_stream://-?\d+(?:,\d+)?"
    r"|tone_stream://[A-Za-z0-9%(),.;=\-]+"
    r"|file_string:/(?:/[A-Za-z0-9._/!\-]+))"
)

END_HOOK = (
    "hash::insert/irisx_ended/${uuid}/1|${hangup_cause}|${progress_uepoch}"
    "|${progress_media_uepoch}|${answer_uepoch}|${end_uepoch}|${sip_term_status}"
    "|${sip_hangup_disposition}|${irisx_call_id}|${irisx_tenant_id}|${irisx_direction}"
    "|${irisx_initiated_at}|${irisx_campaign}"
)
"""What the switch runs when a channel of ours is gone: it keeps how it ended (calls/ended.py).

The one text with `${` that is sent, and a constant: only names of variables, no `${command(...)}`.
"""

APPLICATIONS = frozenset(
    {
        "answer",
        "pre_answer",
        "ring_ready",
        "park",
        "hangup",
        "respond",
        "redirect",
        "deflect",
        "sleep",
        "set",
        "multiset",
        "unset",
        "playback",
        "endless_playback",
        "play_and_get_digits",
        "send_dtmf",
        "queue_dtmf",
        "flush_dtmf",
        "start_dtmf",
        "stop_dtmf",
        "bridge",
        "eavesdrop",
        "three_way",
        "conference",
        "hold",
        "unhold",
        "soft_hold",
        "record",
        "record_session",
        "stop_record_session",
        "avmd_start",
        "avmd_stop",
        "spandsp_start_dtmf",
        "spandsp_stop_dtmf",
        "wait_for_silence",
    }
)
"""What may be executed on a channel. `system`, `lua`, `socket` and their like never join it."""


class Leg(StrEnum):
    """Which side of a bridge a uuid_transfer or uuid_broadcast is for."""

    A = "aleg"
    B = "bleg"
    BOTH = "both"


def safe(value: str, field: str) -> str:
    """The value, if it holds no control character, lone surrogate, `${` or `$(`."""
    if _FORBIDDEN.search(value):
        raise UnsafeValue(field, "control characters, '${' and '$(' may not reach the switch")
    return value


def _match(pattern: re.Pattern[str], value: str, field: str, expected: str) -> str:
    if not pattern.fullmatch(value):
        raise UnsafeValue(field, f"not {expected}")
    return safe(value, field)


def channel_id(value: str | UUID, field: str = "uuid") -> str:
    """A channel's uuid as FreeSWITCH writes it."""
    return _match(_UUID, str(value), field, "a uuid")


def variable_name(value: str) -> str:
    """A channel variable's name; not one of those that make the switch run its value."""
    if _RUNNING_NAME.search(value):
        raise UnsafeValue("variable name", "the switch would run this variable's value")
    return _match(_NAME, value, "variable name", "a variable's name")


def hangup_cause(value: str) -> str:
    return _match(_CAUSE, value, "cause", "a hangup cause")


def path(value: str, field: str = "path") -> str:
    """An absolute path without blanks, quotes or `..`."""
    if ".." in value.split("/"):
        raise UnsafeValue(field, "may not climb")
    return _match(_PATH, value, field, "an absolute path")


def source(value: str, field: str = "source") -> str:
    """Something to play: an absolute path, or a local, tone, silence or file_string stream.

    Several paths may be joined by `!`, for a channel whose `playback_delimiter` that is.
    """
    if value.startswith("/"):
        return "!".join(path(each, field) for each in value.split("!"))
    if ".." in re.split(r"[/!]", value):
        raise UnsafeValue(field, "may not climb")
    return _match(_STREAM, value, field, "a path or a stream that may be played")


def dtmf(value: str) -> str:
    """Digits to send: 0-9 A-D * #, w waits 500 ms, W 1 s."""
    return _match(_DIGITS, value, "digits", "DTMF digits")


def whole(value: int, field: str, low: int = 0, high: int = 2**31 - 1) -> str:
    """A whole number in its range, as text. Refuses bool and everything that only looks like it."""
    if type(value) is not int or not low <= value <= high:
        raise UnsafeValue(field, f"not a whole number from {low} to {high}")
    return str(value)


def _escaped(value: str) -> str:
    """For commands that unquote, to which "\\n" is a line end (switch_utils.c)."""
    return value.replace("\\", "\\\\").replace("'", "\\'").replace(" ", "\\s")


def assignment(name: str, value: str) -> str:
    """The argument of the `set` application."""
    if "\\" in value:
        raise UnsafeValue(name, "no backslash: `set` would eat it")
    return f"{variable_name(name)}={safe(value, name)}"


def assignments(variables: Mapping[str, str]) -> str:
    """The argument of `multiset`: several variables for the price of one application.

    Plain values only (`execute` checks them); an empty one removes its variable.
    """
    return " ".join(f"{name}={value}" for name, value in variables.items())


def gather(
    *,
    minimum: int,
    maximum: int,
    tries: int,
    timeout_ms: int,
    terminators: str,
    prompt: str,
    invalid_prompt: str,
    variable: str,
    pattern: str,
    digit_timeout_ms: int,
) -> str:
    """The argument of play_and_get_digits (mod_dptools.c `play_and_get_digits_function`).

    `terminators` is of 0-9 * # or "none"; a `timeout_ms` under 1000 counts as 1000; `pattern` is a
    regular expression without backslashes, which the switch would eat: write [0-9] for a digit.
    """
    if terminators != "none":
        _match(re.compile(r"[0-9*#]{1,12}"), terminators, "terminators", "of 0-9 * #, or none")
    return " ".join(
        (
            whole(minimum, "minimum", 0, 128),
            whole(maximum, "maximum", 1, 128),
            whole(tries, "tries", 1, 100),
            whole(timeout_ms, "timeout_ms"),
            terminators,
            source(prompt, "prompt"),
            source(invalid_prompt, "invalid_prompt"),
            variable_name(variable),
            _match(_PATTERN, pattern, "pattern", "a pattern of digits without backslashes"),
            whole(digit_timeout_ms, "digit_timeout_ms"),
        )
    )


def record(file: str, *, limit_s: int, threshold: int, silence_s: int) -> str:
    """The argument of `record`: ends after `limit_s`, or `silence_s` of energy below `threshold`.

    A `threshold` of 0 hears no silence.
    """
    return " ".join(
        (
            path(file, "file"),
            whole(limit_s, "limit_s", 1),
            whole(threshold, "threshold"),
            whole(silence_s, "silence_s", 1),
        )
    )


#: Characters from which on the two headers of a body are shorter than the argument as one.
_SHORT_ARGUMENT = 25


@dataclass(frozen=True, slots=True)
class Command:
    """One protocol message. `encode` gives its bytes; a body's length is added there."""

    line: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def __post_init__(self) -> None:
        safe(self.line.replace(END_HOOK, ""), "command")
        for name, value in self.headers:
            _match(_HEADER_NAME, name, "header name", "a header's name")
            safe(value, name)
        safe(self.body, "body")

    def encode(self) -> bytes:
        lines = [self.line, *(f"{name}: {value}" for name, value in self.headers)]
        body = self.body.encode()
        if body:
            lines += ["content-type: text/plain", f"content-length: {len(body)}"]
        return "\n".join(lines).encode() + b"\n\n" + body


@dataclass(frozen=True, slots=True)
class Api:
    """An API command. `foreground` is answered inline, `background` by a BACKGROUND_JOB event.

    The foreground blocks every event of its connection while it runs: not for what takes long
    (originate, uuid_record of a pipe).
    """

    text: str

    def __post_init__(self) -> None:
        safe(self.text.replace(END_HOOK, ""), "command")

    @property
    def foreground(self) -> Command:
        return Command(f"api {self.text}")

    def background(self, job: str | UUID) -> Command:
        return Command(f"bgapi {self.text}", (("Job-UUID", channel_id(job, "job")),))


# -- protocol -----------------------------------------------------------------------------------


def auth(password: str) -> Command:
    return Command(f"auth {password}")


def subscribe(events: Sequence[str], subclasses: Sequence[str] = ()) -> Command:
    """`event plain`: the events by name, then the subclasses of CUSTOM ("sofia::register")."""
    words = [*events, *(("CUSTOM", *subclasses) if subclasses else ())]
    for word in words:
        _match(_HEADER_NAME, word, "event", "an event's name")
    return Command(" ".join(["event plain", *words]))


def event_filter(header: str, value: str) -> Command:
    """Only events in which the header has this value; several filters are alternatives."""
    _match(_HEADER_NAME, header, "header", "a header's name")
    return Command(f"filter {header} {safe(value, header)}")


def execute(
    channel: str | UUID,
    application: str,
    argument: str = "",
    *,
    event_uuid: str | None = None,
    event_lock: bool = True,
    loops: int = 1,
) -> Command:
    """Queue an application on a channel. Without `event_lock` it nests in the one that runs.

    The CHANNEL_EXECUTE_COMPLETE carries `event_uuid` as its Application-UUID. The switch reads
    heads a byte a call, and lets others run after each (mod_event_socket.c `read_packet`): nothing
    stands there that need not, and an argument is sent as the body unless that is longer.
    """
    if application not in APPLICATIONS:
        raise UnsafeValue("application", "not one that IRISX executes")
    match application:
        case "playback" | "endless_playback":
            source(argument, "argument")
        case "set" | "unset":
            variable_name(argument.partition("=")[0])
        case "multiset":
            for each in argument.split(" "):
                _match(_ASSIGNMENT, each, "argument", "name=value")
                variable_name(each.partition("=")[0])
        case "queue_dtmf":
            dtmf(argument)
        case "eavesdrop" | "three_way":
            channel_id(argument, "argument")
    headers = [
        ("call-command", "execute"),
        ("execute-app-name", application),
    ]
    if event_uuid is not None:
        headers.append(("Event-UUID", _match(_NAME, event_uuid, "event_uuid", "an identifier")))
    if event_lock:
        headers.append(("event-lock", "true"))
    if loops != 1:
        headers.append(("loops", whole(loops, "loops", -1)))
    if argument and len(argument) < _SHORT_ARGUMENT and argument == argument.strip():
        headers.append(("execute-app-arg", argument))
        argument = ""
    return Command(f"sendmsg {channel_id(channel)}", tuple(headers), argument)


def eavesdrop_mode(channel: str | UUID, digit: str) -> Command:
    """Tell a supervisor's leg whom it talks to: 0 none, 1 the partner, 2 the spied leg, 3 both."""
    if digit not in {"0", "1", "2", "3", "*"}:
        raise UnsafeValue("digit", "not an eavesdrop command")
    return Command(
        "sendevent MESSAGE", (("unique-id", channel_id(channel)), ("eavesdrop-command", digit))
    )


def message_waiting(
    name: str,
    domain: str,
    *,
    new: int,
    heard: int,
    registration: str | None = None,
    profile: str = "agents",
) -> Command:
    """Have mod_sofia send NOTIFY message-summary (RFC 3842) to the phones of an account.

    `registration`: the Call-ID of the one registration that is told; None: all of the account's
    (sofia_presence.c `actual_sofia_presence_mwi_event_handler`).
    """
    _match(_NUMBER, name, "user", "a user's name")
    _match(_HOST_NAME, domain, "domain", "a host name")
    headers = [
        ("sofia-profile", _match(_NAME, profile, "profile", "a profile")),
        ("MWI-Messages-Waiting", "yes" if new else "no"),
        ("MWI-Message-Account", f"{name}@{domain}"),
        ("MWI-Voice-Message", f"{whole(new, 'new')}/{whole(heard, 'heard')} (0/0)"),
    ]
    if registration is not None:
        headers.append(("Call-ID", registration))
    return Command("sendevent MESSAGE_WAITING", tuple(headers))


# -- dial strings -------------------------------------------------------------------------------

# What has a meaning to one of the parsers that a dial string passes (switch_ivr_originate.c,
# switch_utils.c `switch_separate_string`) and no escape that survives all of them.
_DIAL_VALUE_FORBIDDEN = re.compile(r"""[{}\[\]<>'"\\|^]|:_:""")


def _bracket(variables: Mapping[str, str], opening: str, closing: str) -> str:
    if not variables:
        return ""
    pairs = []
    for name, value in variables.items():
        if _DIAL_VALUE_FORBIDDEN.search(value):
            raise UnsafeValue(name, "no brackets, quotes, '|', '^', '\\' in a dialled value")
        quoted = safe(value, name).replace(",", "\\,").replace(" ", "\\s")
        pairs.append(f"{variable_name(name)}={quoted}")
    return f"{opening}{','.join(pairs)}{closing}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One destination of a dial string. Make it with `gateway`, `sofia`, `user` or `loopback`.

    `variables` are of this leg alone: an `origination_uuid` of its own, where several are tried.
    """

    address: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if re.search(r"[ ,|'\"\\<>{}\[\]]", self.address):
            raise UnsafeValue("endpoint", "not one endpoint")

    def having(self, variables: Mapping[str, str]) -> "Endpoint":
        return Endpoint(self.address, variables)

    @property
    def text(self) -> str:
        return _bracket(self.variables, "[", "]") + safe(self.address, "endpoint")


def gateway(name: str, number: str) -> Endpoint:
    _match(_NAME, name, "gateway", "a gateway's name")
    return Endpoint(f"sofia/gateway/{name}/{_match(_NUMBER, number, 'number', 'a number')}")


def sofia(profile: str, uri: str) -> Endpoint:
    """A SIP address without the scheme: user@host[:port][;transport=udp|tcp|tls]."""
    _match(_NAME, profile, "profile", "a profile's name")
    return Endpoint(f"sofia/{profile}/{_match(_SIP_URI, uri, 'uri', 'user@host[:port]')}")


def user(name: str, domain: str) -> Endpoint:
    """A registered user, wherever the registration says."""
    _match(_NUMBER, name, "user", "a user's name")
    return Endpoint(f"user/{name}@{_match(_HOST_NAME, domain, 'domain', 'a host name')}")


def registered(name: str, domain: str, profile: str = "agents") -> Endpoint:
    """The phone that registered as `name` on a profile, without asking the directory."""
    _match(_NUMBER, name, "user", "a user's name")
    _match(_HOST_NAME, domain, "domain", "a host name")
    return Endpoint(f"sofia/{_match(_NAME, profile, 'profile', 'a profile')}/{name}%{domain}")


def loopback(extension: str, context: str) -> Endpoint:
    _match(_NUMBER, extension, "extension", "an extension")
    return Endpoint(f"loopback/{extension}/{_match(_NAME, context, 'context', 'a context')}")


def dial_string(
    endpoints: Sequence[Endpoint], variables: Mapping[str, str], *, in_turn: bool = False
) -> str:
    """The argument of the `bridge` application: endpoints rung together or one after the other."""
    if not endpoints:
        raise UnsafeValue("endpoints", "none")
    separator = "|" if in_turn else ","
    return _bracket(variables, "{", "}") + separator.join(endpoint.text for endpoint in endpoints)


def originate(
    endpoints: Sequence[Endpoint],
    variables: Mapping[str, str],
    application: str = "park",
    argument: str = "",
    *,
    in_turn: bool = False,
    keep_end: bool = False,
) -> Api:
    """Dial, and run one application on who answers. Only in the background: it blocks until then.

    Endpoints are rung together, or one after the other if `in_turn`. Give `origination_uuid` for
    one endpoint only: legs would collide. `originate_timeout` (s) is a variable too. `keep_end`
    has the switch keep how the channel ended (END_HOOK; `origination_nested_vars` lets its `${`
    pass, which is why no other value may hold one).
    """
    if application not in APPLICATIONS:
        raise UnsafeValue("application", "not one that IRISX executes")
    if re.search(r"""[ ()'"\\,|<>]""", argument):
        raise UnsafeValue("argument", "no blanks, brackets, quotes or commas")
    destination = dial_string(endpoints, variables, in_turn=in_turn)
    if keep_end:
        hook = f"{{origination_nested_vars=true,api_reporting_hook={END_HOOK}"
        destination = f"{hook},{destination[1:]}" if variables else f"{hook}}}{destination}"
    return Api(f"originate {destination} &{application}({safe(argument, 'argument')})")


# -- one channel --------------------------------------------------------------------------------


def uuid_exists(channel: str | UUID) -> Api:
    return Api(f"uuid_exists {channel_id(channel)}")


def uuid_dump(channel: str | UUID) -> Api:
    """All headers and variables of a channel; `Event(text.encode())` reads the answer."""
    return Api(f"uuid_dump {channel_id(channel)}")


def uuid_getvar(channel: str | UUID, name: str) -> Api:
    """The variable's value, or "_undef_"."""
    return Api(f"uuid_getvar {channel_id(channel)} {variable_name(name)}")


def uuid_setvar(channel: str | UUID, name: str, value: str) -> Api:
    """Set a variable; an empty value removes it. Every value arrives as it is."""
    quoted = _escaped(safe(value, name))
    return Api(f"uuid_setvar {channel_id(channel)} {variable_name(name)} {quoted}")


def uuid_setvar_multi(channel: str | UUID, variables: Mapping[str, str]) -> Api:
    """Set several variables to plain values: nothing else passes the two parsers unchanged."""
    pairs = (
        f"{variable_name(name)}={_match(_PLAIN, value, name, 'a plain value')}"
        for name, value in variables.items()
    )
    return Api(f"uuid_setvar_multi {channel_id(channel)} {';'.join(pairs)}")


def keep_end(channel: str | UUID) -> Api:
    """Have the switch keep how a channel that it took in ended (END_HOOK)."""
    return Api(f"uuid_setvar {channel_id(channel)} api_reporting_hook {END_HOOK}")


def uuid_answer(channel: str | UUID) -> Api:
    return Api(f"uuid_answer {channel_id(channel)}")


def uuid_kill(channel: str | UUID, cause: str = "NORMAL_CLEARING") -> Api:
    return Api(f"uuid_kill {channel_id(channel)} {hangup_cause(cause)}")


def uuid_bridge(channel: str | UUID, other: str | UUID) -> Api:
    return Api(f"uuid_bridge {channel_id(channel)} {channel_id(other, 'other')}")


def uuid_park(channel: str | UUID) -> Api:
    return Api(f"uuid_park {channel_id(channel)}")


def uuid_transfer(
    channel: str | UUID, extension: str, context: str, *, leg: Leg = Leg.A, dialplan: str = "XML"
) -> Api:
    """Send a channel (its partner with Leg.B, both with Leg.BOTH) to a dialplan extension."""
    _match(_NUMBER, extension, "extension", "an extension")
    _match(_NAME, context, "context", "a context")
    _match(_NAME, dialplan, "dialplan", "a dialplan's name")
    flag = "" if leg is Leg.A else f"-{leg} "
    return Api(f"uuid_transfer {channel_id(channel)} {flag}{extension} {dialplan} {context}")


def uuid_transfer_to_park(channel: str | UUID, *, leg: Leg = Leg.A) -> Api:
    """End whatever the channel does and park it, without a dialplan."""
    flag = "" if leg is Leg.A else f"-{leg} "
    return Api(f"uuid_transfer {channel_id(channel)} {flag}park inline")


def uuid_transfer_to_eavesdrop(channel: str | UUID, spied: str | UUID) -> Api:
    """End whatever the channel does; it listens to another until that one is gone, then parks."""
    actions = f"eavesdrop:{channel_id(spied, 'spied')},park"
    return Api(f"uuid_transfer {channel_id(channel)} {actions} inline")


def uuid_hold(channel: str | UUID) -> Api:
    return Api(f"uuid_hold {channel_id(channel)}")


def uuid_unhold(channel: str | UUID) -> Api:
    return Api(f"uuid_hold off {channel_id(channel)}")


def uuid_mute(channel: str | UUID) -> Api:
    """Nobody hears the channel any more: what it says is replaced by silence."""
    return Api(f"uuid_audio {channel_id(channel)} start read mute 1")


def uuid_unmute(channel: str | UUID) -> Api:
    return Api(f"uuid_audio {channel_id(channel)} stop")


def uuid_record_start(
    channel: str | UUID, file: str, *, limit_s: int = 0, options: Mapping[str, str] | None = None
) -> Api:
    """Record to a file; `options` such as RECORD_STEREO (mod_commands.c `session_record`)."""
    text = f"uuid_record {channel_id(channel)} start {path(file, 'file')}"
    return Api(f"{text} {whole(limit_s, 'limit_s')} {_bracket(options or {}, '{', '}')}".rstrip())


def uuid_record_stop(channel: str | UUID, file: str) -> Api:
    return Api(f"uuid_record {channel_id(channel)} stop {path(file, 'file')}")


def uuid_record_mask(channel: str | UUID, file: str) -> Api:
    """Write silence from now on (card numbers)."""
    return Api(f"uuid_record {channel_id(channel)} mask {path(file, 'file')}")


def uuid_record_unmask(channel: str | UUID, file: str) -> Api:
    return Api(f"uuid_record {channel_id(channel)} unmask {path(file, 'file')}")


def uuid_broadcast(channel: str | UUID, what: str, leg: Leg = Leg.A) -> Api:
    """Play over whatever runs. `both` plays to each leg separately."""
    return Api(f"uuid_broadcast {channel_id(channel)} {source(what)} {leg}")


def uuid_displace_start(channel: str | UUID, file: str, *, limit_s: int = 0) -> Api:
    """Mix a file into what the channel hears."""
    text = f"uuid_displace {channel_id(channel)} start {source(file, 'file')}"
    return Api(f"{text} {whole(limit_s, 'limit_s')} mux")


def uuid_displace_stop(channel: str | UUID, file: str) -> Api:
    return Api(f"uuid_displace {channel_id(channel)} stop {source(file, 'file')}")


def uuid_break(channel: str | UUID, *, everything: bool = False) -> Api:
    """End the application that runs, with `everything` the queued ones too. Digits stay queued."""
    return Api(f"uuid_break {channel_id(channel)}{' all' if everything else ''}")


def uuid_send_dtmf(channel: str | UUID, digits: str, duration_ms: int | None = None) -> Api:
    tail = "" if duration_ms is None else f"@{whole(duration_ms, 'duration_ms', 40, 10_000)}"
    return Api(f"uuid_send_dtmf {channel_id(channel)} {dtmf(digits)}{tail}")


def uuid_recv_dtmf(channel: str | UUID, digits: str) -> Api:
    """As if the far end had pressed the digits."""
    return Api(f"uuid_recv_dtmf {channel_id(channel)} {dtmf(digits)}")


def uuid_flush_dtmf(channel: str | UUID) -> Api:
    return Api(f"uuid_flush_dtmf {channel_id(channel)}")


def sched_hangup(channel: str | UUID, after_s: int, cause: str = "ALLOTTED_TIMEOUT") -> Api:
    """A hangup that the switch keeps, even if every engine dies. Its group is the channel."""
    return Api(
        f"sched_hangup +{whole(after_s, 'after_s')} {channel_id(channel)} {hangup_cause(cause)}"
    )


def sched_del(group: str | UUID) -> Api:
    """Take back all that is scheduled for a channel."""
    return Api(f"sched_del {channel_id(group, 'group')}")


# -- the node -----------------------------------------------------------------------------------


def global_getvar(name: str) -> Api:
    return Api(f"global_getvar {variable_name(name)}")


def global_setvar(name: str, value: str) -> Api:
    """Set a variable of the whole node. Every value arrives as it is."""
    quoted = _escaped(safe(value, name)).replace("=", "\\=")
    return Api(f"global_setvar {variable_name(name)}={quoted}")


def status() -> Api:
    return Api("status")


def version() -> Api:
    return Api("version")


def show_channels() -> Api:
    """All channels as JSON. Late by some 200 ms: uuid_exists is the truth."""
    return Api("show channels as json")


def show_channels_count() -> Api:
    return Api("show channels count as json")


def hang_up_all(cause: str = "NORMAL_CLEARING") -> Api:
    return Api(f"hupall {hangup_cause(cause)}")


def sessions_per_second(limit: int) -> Api:
    return Api(f"fsctl sps {whole(limit, 'limit', 1)}")


def api_expansion() -> Api:
    """Asks, not sets: the answer holds "api_expansion is on" or "off"."""
    return Api("fsctl api_expansion")


def reload_acl() -> Api:
    return Api("reloadacl")


def reload_xml() -> Api:
    return Api("reloadxml")


def sofia_rescan(profile: str) -> Api:
    """Take up new gateways of a SIP profile."""
    return Api(f"sofia profile {_match(_NAME, profile, 'profile', 'a profile')} rescan")


def sofia_kill_gateway(profile: str, name: str) -> Api:
    """Forget a gateway; a rescan brings it back as the directory has it then."""
    _match(_NAME, profile, "profile", "a profile's name")
    _match(_NAME, name, "gateway", "a gateway's name")
    return Api(f"sofia profile {profile} killgw {name}")


def sofia_gateway_status(name: str) -> Api:
    return Api(f"sofia xmlstatus gateway {_match(_NAME, name, 'gateway', 'a gateway')}")


def chat(profile: str, sender: str, to: str, text: str) -> Api:
    """Send a text as SIP MESSAGE (RFC 3428) from `user@host` to `user@host:port;transport=…`, and
    wait for the final answer: `Sent`, or that it was not. For `background` only.

    The text may hold anything but control characters other than tabs and line ends.
    """
    _match(_NAME, profile, "profile", "a profile's name")
    _match(_SIP_URI, sender, "sender", "a SIP address")
    _match(_SIP_URI, to, "to", "a SIP address")
    return Api(f"chat sip|{sender}|{profile}/sip:{to}|{_quoted(text)}|text/plain")


def _quoted(text: str) -> str:
    """One argument of a command whose arguments `switch_separate_string` parts (switch_utils.c):
    quoted, with its escapes. `${` and `$(` are parted by quotes that the switch drops, so that
    they stand nowhere in the command."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for plain, escaped in (
        ("\\", "\\\\"),
        ("'", "\\'"),
        ("|", "\\|"),
        ("\n", "\\n"),
        ("\t", "\\t"),
    ):
        text = text.replace(plain, escaped)
    return "'" + text.replace("${", "$''{").replace("$(", "$''(") + "'"


def hash_insert(realm: str, key: str, value: str) -> Api:
    """Keep a value in the switch (mod_hash) while it runs, whoever comes and goes."""
    return Api(f"hash insert/{_hash_path((realm, key, value))}")


def hash_select(realm: str, key: str) -> Api:
    return Api(f"hash select/{_hash_path((realm, key))}")


def hash_delete(realm: str, key: str) -> Api:
    return Api(f"hash delete/{_hash_path((realm, key))}")


def hash_dump(realm: str) -> Api:
    """All of a realm, a line `D/<realm>_<key>/<value>` each."""
    return Api(f"hash_dump db {_match(_NAME, realm, 'realm', 'a realm')}")


def _hash_path(parts: Iterable[str]) -> str:
    return "/".join(_match(_NAME, part, "key", "a key") for part in parts)
