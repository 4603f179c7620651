"""Hostile text in every field of REST and SIP that may reach a real FreeSWITCH.

Each is refused with 400 that names the field, or passes without effect: no shell runs, no header
is added to a SIP message or to the Event Socket, no variable of the switch is set, nothing is a
500.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import soundfile

from tests.installation import Installation
from tests.receiver import Answer, Received, Receiver, receiving
from tests.sipp import Sipp, needs_sipp
from tests.switches import needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, needs_sipp]

OWNED = "irisx_owned"
"""Name of what an attack would leave behind: a file, a SIP header, a variable."""

ANSWERS, PARTNER = "+15556660108", "+15555550108"


@dataclass
class Target:
    """`marker` is the file that a shell would touch; `live` an answered call."""

    irisx: Installation
    receiver: Receiver
    far_end: Sipp
    marker: Path
    live: str = ""

    def payloads(self) -> list[str]:
        touch = f"touch {self.marker}"
        return [
            f"a\r\nX-{OWNED}: 1",
            f"a\nevent plain ALL\n\napi global_setvar {OWNED}=1\n\n",
            "a\0b",
            f"${{system({touch})}}",
            f"\\${{system({touch})}}",
            f"$${{system({touch})}}",
            f"%{{system({touch})}}",
            f"@{{system({touch})}}",
            f"$({touch})",
            f"`{touch}`",
            f"a';{touch};'",
            f'a";{touch};"',
            f"{{{OWNED}=1}}a",
            f"[{OWNED}=1]a",
            f"<{OWNED}=1>a",
            f"a,{OWNED}=1",
            f"a\\,{OWNED}=1",
            f"a|{OWNED}=1",
            f"^^:{OWNED}=1:a",
            "a\\s\\n\\\\",
            f"a%0d%0aX-{OWNED}: 1",
            f"a;X-{OWNED}=1",
            f"a:_:{OWNED}=1",
            f"a@b?X-{OWNED}=1",
            "../../../../etc/passwd",
            f"&system({touch})",
            f"a\u2028X-{OWNED}: 1\x85",
            "a\u202e\ufffe",
        ]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    directory = tmp_path_factory.mktemp("hostile")
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(_serve_tone(directory)))
        irisx = stack.enter_context(Installation())
        far_end = Sipp("uas_stays", hold_ms=50, calls=1000, timeout=3000)
        stack.callback(far_end.stop)
        irisx.carrier("1555", far_end.port)
        found = Target(irisx, receiver, far_end, directory / OWNED)
        found.live = irisx.post("/v1/calls", {"to": ANSWERS})["sid"]
        wait_until(lambda: _status(irisx, found.live) == "in-progress", 20)
        yield found


@pytest.fixture(autouse=True)
def unharmed(target: Target) -> Iterator[None]:
    """After each test: nothing was executed, nothing injected, and the live call lives."""
    yield
    switch = target.irisx.freeswitch
    assert not target.marker.exists()
    assert OWNED not in switch.api("global_getvar").replace("irisx_owned_never", "")
    lines = [line for message in target.far_end.messages() for line in message.splitlines()]
    assert not [line for line in lines if line.lower().startswith(f"x-{OWNED}")]
    for channel in switch.channels():
        assert not {f"variable_{OWNED}", f"variable_sip_h_X-{OWNED}"} & set(
            switch.variables(channel)
        )
    assert _status(target.irisx, target.live) == "in-progress"
    target.irisx.post(f"/v1/calls/{target.live}/dtmf", {"digits": "1"})


Body = Callable[[str], dict[str, Any]]

CALL = "/v1/calls"
TENANTS_FIELDS: list[tuple[str, str, str, Body]] = [
    ("to", "POST", CALL, lambda text: {"to": text}),
    ("to", "POST", CALL, lambda text: {"to": ANSWERS + text}),
    ("from", "POST", CALL, lambda text: {"to": ANSWERS, "from": text}),
    ("caller_name", "POST", CALL, lambda text: {"to": ANSWERS, "caller_name": text}),
    ("metadata", "POST", CALL, lambda text: {"to": ANSWERS, "metadata": {"digits": text}}),
    ("metadata", "POST", CALL, lambda text: {"to": ANSWERS, "metadata": {text: text}}),
    ("timeout", "POST", CALL, lambda text: {"to": ANSWERS, "timeout": text}),
    ("record", "POST", CALL, lambda text: {"to": ANSWERS, "record": text}),
    (
        "on_answer",
        "POST",
        CALL,
        lambda text: {"to": ANSWERS, "on_answer": {"type": "number", "to": text}},
    ),
    (
        "on_answer",
        "POST",
        CALL,
        lambda text: {"to": ANSWERS, "on_answer": {"type": "sip", "to": f"{text}@127.0.0.1"}},
    ),
    (
        "on_answer",
        "POST",
        CALL,
        lambda text: {"to": ANSWERS, "on_answer": {"type": "sip", "to": f"a@127.0.0.1{text}"}},
    ),
    (
        "on_answer",
        "POST",
        CALL,
        lambda text: {"to": ANSWERS, "on_answer": {"type": "agent", "id": text}},
    ),
    ("to", "POST", "{live}/transfer", lambda text: {"to": text}),
    ("to", "POST", "{live}/transfer", lambda text: {"to": text, "type": "attended"}),
    ("to", "POST", "{live}/transfer", lambda text: {"to": f"sip:a@127.0.0.1{text}"}),
    ("type", "POST", "{live}/transfer", lambda text: {"to": PARTNER, "type": text}),
    ("url", "POST", "{live}/play", lambda text: {"url": text}),
    ("url", "POST", "{live}/play", lambda text: {"url": f"{{receiver}}/{text}"}),
    ("text", "POST", "{live}/say", lambda text: {"text": text}),
    ("voice", "POST", "{live}/say", lambda text: {"text": "a", "voice": text}),
    ("language", "POST", "{live}/say", lambda text: {"text": "a", "language": text}),
    ("digits", "POST", "{live}/dtmf", lambda text: {"digits": text}),
    ("duration_ms", "POST", "{live}/dtmf", lambda text: {"digits": "1", "duration_ms": text}),
    ("leg", "POST", "{live}/mute", lambda text: {"leg": text}),
    ("action", "POST", "{live}/record", lambda text: {"action": text}),
    ("number", "POST", "/v1/settings/phone-numbers", lambda text: {"number": text}),
    ("name", "POST", "/v1/sip-accounts", lambda text: {"name": text}),
    (
        "destination",
        "POST",
        "/v1/settings/phone-numbers",
        lambda text: {"number": "+15550007777", "destination": {"type": "number", "to": text}},
    ),
    (
        "destination",
        "POST",
        "/v1/settings/phone-numbers",
        lambda text: {"number": "+15550007777", "destination": {"type": "sip", "to": text}},
    ),
    (
        "destination",
        "POST",
        "/v1/settings/phone-numbers",
        lambda text: {"number": "+15550007777", "destination": {"type": "agent", "id": text}},
    ),
    ("default_caller_id", "PUT", "/v1/settings", lambda text: {"default_caller_id": text}),
]

_CARRIER: dict[str, Any] = {"name": "hostile", "host": "127.0.0.1", "port": 9, "prefixes": ["999"]}
#: An administrator has 100 requests a minute: fields of free text go together.
CARRIER_FIELDS: dict[str, Body] = {
    "name username password": lambda text: {"name": text, "username": text, "password": text},
    "host": lambda text: {"host": text},
    "transport prefixes": lambda text: {"transport": text, "prefixes": [text]},
}


@pytest.mark.parametrize(
    ("field", "method", "path", "body"),
    TENANTS_FIELDS,
    ids=[f"{path} {field} {index}" for index, (field, _, path, _) in enumerate(TENANTS_FIELDS)],
)
def test_fields_of_a_tenant(target: Target, field: str, method: str, path: str, body: Body) -> None:
    where = path.replace("{live}", f"/v1/calls/{target.live}")
    for payload in target.payloads():
        sent = _replaced(body(payload), target.receiver.url)
        response = target.irisx.request(method, where, sent)
        _check_refusal(response, field, payload)
    _end_others(target)


@pytest.mark.parametrize("fields", CARRIER_FIELDS)
def test_fields_of_a_carrier(target: Target, fields: str) -> None:
    credentials = {"username": "user", "password": "secret"}
    made = []
    for payload in target.payloads():
        body = _CARRIER | credentials | CARRIER_FIELDS[fields](payload)
        response = target.irisx.admin_request("POST", "/admin/carriers", body)
        _check_refusal(response, fields, payload)
        if response.status_code == 201:
            made.append(response.json()["id"])
    for carrier in made:
        wait_until(lambda carrier=carrier: target.irisx.has_gateway(carrier), 10)
    for carrier in made:
        target.irisx.admin("DELETE", f"/admin/carriers/{carrier}")
    wait_until(lambda: not any(map(target.irisx.has_gateway, made)), 10)


def test_an_accepted_carriers_credentials_arrive_as_they_are(target: Target) -> None:
    """What is accepted is not changed either: the switch holds the very characters."""
    password = "a$${esl}${b}&<>'\"%41,|{}[]^\\n"
    body = _CARRIER | {"username": "u$${x}", "password": password}
    carrier = target.irisx.admin("POST", "/admin/carriers", body)["id"]
    wait_until(lambda: target.irisx.has_gateway(carrier), 10)
    status = target.irisx.freeswitch.api(f"sofia xmlstatus gateway carrier_{carrier[4:]}")
    assert escape("u$${x}") in status
    target.irisx.admin("DELETE", f"/admin/carriers/{carrier}")


@pytest.mark.parametrize("place", ["caller", "caller_name", "extra", "service"])
def test_fields_of_sip(target: Target, place: str) -> None:
    called = f"+155500091{len(place):02}"
    target.irisx.phone_number(called, {"type": "number", "to": PARTNER})
    switch = f"127.0.0.1:{target.irisx.freeswitch.sip_port}"
    touch = f"touch {target.marker}"
    for payload in (
        f"${{system({touch})}}",
        f"$${{system({touch})}}",
        f"%24%7Bsystem({touch})%7D".replace(" ", "%20"),
        f"a%0d%0aX-{OWNED}:1",
        f"{{{OWNED}=1}}a",
        f"a,{OWNED}=1",
        f"a|{OWNED}=1",
        f"^^:{OWNED}=1:a",
        f"a';{OWNED};'",
        "a\\s\\n",
    ):
        options = {"service": called} | {place: payload, "hold_ms": 50, "timeout": 5}
        phone = Sipp("uac", switch, **options)
        wait_until(lambda phone=phone: phone._process.poll() is not None or _answered(phone), 8)
        phone.stop()
    _end_others(target)


def _answered(phone: Sipp) -> bool:
    return any(message.startswith("received\nSIP/2.0 4") for message in phone.messages())


def _check_refusal(response: Any, fields: str, payload: str) -> None:
    """`fields`: names of those that held the payload, one of which a refusal must name."""
    assert response.status_code < 500 and response.status_code != 429, (payload, response.text)
    if response.status_code == 400:
        named = {detail["field"].split(".")[0] for detail in response.json()["details"]}
        assert named & set(fields.split()), (payload, response.text)


def _end_others(target: Target) -> None:
    """Calls that were accepted come up, and are ended."""

    def over() -> bool:
        live = [
            call["sid"]
            for call in target.irisx.calls()
            if not call["ended_at"] and call["sid"] != target.live
        ]
        for sid in live:
            target.irisx.request("POST", f"/v1/calls/{sid}/end", {})
        return not live

    time.sleep(0.5)
    wait_until(over, 30, interval=0.3)


def _replaced(body: dict[str, Any], receiver: str) -> dict[str, Any]:
    return {
        name: value.replace("{receiver}", receiver) if isinstance(value, str) else value
        for name, value in body.items()
    }


def _status(irisx: Installation, sid: str) -> str:
    return str(irisx.get(f"/v1/calls/{sid}")["status"])


def _serve_tone(directory: Path) -> Callable[[Received], Answer]:
    path = directory / "tone.wav"
    soundfile.write(path, [0.0] * 800, 8000)
    audio = path.read_bytes()
    return lambda request: Answer(200, {"Content-Type": "audio/wav"}, audio)
