"""The product's engine on a switch, with far ends that behave as asked: what the contract runs on.

One `Rig` for each switch on the machine. Far ends have the sandbox's numbers on both: on
FreeSWITCH each is a sipp process behind a carrier of its own.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

import gevent
from sqlalchemy import delete, select

from irisx.api.public.internal import DatabaseSource
from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.kernel.events import DomainEvent
from irisx.kernel.redis import redis
from irisx.settings import get_settings
from irisx.telephony.bus import request, wake_dialer
from irisx.telephony.calls.ended import REALM
from irisx.telephony.calls.models import Call, CallEvent
from irisx.telephony.calls.states import CallStatus, Direction
from irisx.telephony.carriers import SCRIPTED
from irisx.telephony.engine import Engine
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api
from irisx.telephony.esl.connection import Connection
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.provisioning import CarrierAddress, Gateway, SipUser
from irisx.telephony.switch import Switch
from irisx.tenancy.models import Carrier, PhoneNumber, Tenant, TenantStatus
from tests.contract.sandbox import sandbox_switch
from tests.provisioner import Provisioner
from tests.sandbox.sound import ulaw_tone
from tests.sipp import Sipp, presses
from tests.switches import FreeSwitch
from tests.waiting import wait_until

ANSWERS = "+15555550100"
BUSY = "+15555550102"
RINGS = "+15555550103"
REJECTS = "+15555550104"
STAYS = "+15555550108"
ALSO_STAYS = "+15555551108"
STAYS_TOO = "+15555552108"
#: Far ends that hold a tone, in Hz.
CUSTOMER, AGENT, SUPERVISOR, COLLEAGUE = (f"+1555555011{digit}" for digit in "1234")
HUMS = {CUSTOMER: 500, AGENT: 900, SUPERVISOR: 1300, COLLEAGUE: 1700}
_SCENARIOS = {
    ANSWERS: ("uas_answers_and_ends", 1000),
    BUSY: ("uas_busy", 0),
    RINGS: ("uas_ring", 0),
    REJECTS: ("uas_reject", 0),
    STAYS: ("uas_stays", 50),
    ALSO_STAYS: ("uas_stays", 50),
    STAYS_TOO: ("uas_stays", 50),
    **dict.fromkeys(HUMS, ("uas_hums", 50)),
}


class DatabaseProvisioner(Provisioner):
    """The API's own answers to mod_xml_curl; sipp's address is a carrier's."""

    def __init__(self) -> None:
        super().__init__()
        self._source = DatabaseSource()

    def gateways(self) -> list[Gateway]:
        return list(self._source.gateways())

    def carrier_addresses(self) -> list[CarrierAddress]:
        return [CarrierAddress("127.0.0.1/32")]

    def sip_user(self, username: str) -> SipUser | None:
        return self._source.sip_user(username)


@dataclass
class Machine:
    """A switch that runs: FreeSWITCH, or the sandbox (`freeswitch` is None)."""

    url: str
    freeswitch: FreeSwitch | None


@dataclass
class Line:
    """A switch with far ends, and a tenant who owns `number`.

    `observer` is a connection of the test's own: it sees what the engine, wherever it runs, does.
    """

    tenant: Tenant
    number: str
    freeswitch: FreeSwitch | None
    observer: Connection
    far_ends: list[Sipp] = field(default_factory=list)

    @classmethod
    @contextmanager
    def on(cls, machine: Machine, tenant: Tenant, number: str) -> Iterator[Self]:
        """After the test nothing of it is left on the switch."""
        observer = Connection(machine.url, lambda event: None, events=["HEARTBEAT"], subclasses=[])
        observer.start()
        assert observer.wait_up(10)
        line = cls(tenant, number, machine.freeswitch, observer)
        try:
            yield line
        finally:
            for phone in line.far_ends:
                phone.stop()
            observer.api(commands.hang_up_all())
            wait_until(lambda: not line.switch_channels(), 10)
            observer.close()

    @property
    def sandbox(self) -> bool:
        return self.freeswitch is None

    def far_end(self, number: str, calls: int = 1) -> str:
        """Have somebody at `number` for so many calls; the number again."""
        if self.freeswitch is not None:
            scenario, hold_ms = _SCENARIOS[number]
            phone = Sipp(
                scenario,
                hold_ms=hold_ms,
                calls=calls,
                trace=calls < 5,
                timeout=120,
                # A far end that sends audio, as real ones do.
                arguments=() if number in HUMS else ("-rtp_echo",),
                files={"tone.ulaw": ulaw_tone(HUMS[number])} if number in HUMS else {},
            )
            self.far_ends.append(phone)
            self.carrier(number, phone.port)
            return number
        number = STAYS if _SCENARIOS[number][0] == "uas_stays" else number
        self.carrier(number, 5060, host=SCRIPTED)
        return number

    def carrier(self, number: str, port: int, **columns: Any) -> Carrier:
        """A carrier for one number, taken up by the switch."""
        with transaction() as session:
            row = Carrier(
                name=f"carrier {uuid4()}",
                port=port,
                transport="udp",
                prefixes=[number.removeprefix("+")],
                sandbox=self.sandbox,
                **{"host": "127.0.0.1", **columns},
            )
            session.add(row)
        if self.freeswitch is not None:
            wait_until(lambda: self._taken_up(row.gateway), 10)
        return row

    def _taken_up(self, gateway: str) -> bool:
        redis().publish("irisx:carriers", b"")
        try:
            return gateway in self.observer.api(commands.global_getvar("irisx_gateways"))
        except CommandRefused:
            return False

    def place(self, to: str, **columns: Any) -> UUID:
        """Store an outbound call, as the API does; its id."""
        options = {"ring_timeout_s": 30, **columns.pop("options", {})}
        with transaction() as session:
            call = Call(
                id=uuid4(),
                initiated_at=now(),
                tenant_id=self.tenant.id,
                direction=Direction.OUTBOUND,
                status=CallStatus.INITIATED,
                from_number=self.number,
                to_number=to,
                sandbox=self.sandbox,
                options=options,
                **columns,
            )
            session.add(call)
        wake_dialer()
        return call.id

    def call_in(
        self, to: str, *, caller: str = "+15550009999", hold_ms: int = 1000, digits: str = ""
    ) -> "Caller":
        """Somebody calls a number of the platform, and presses `digits` from 0.5 s on."""
        if self.freeswitch is None:
            self.observer.api(_sandbox_call(caller, to, hold_ms, digits))
            return Caller(None)
        target = f"127.0.0.1:{self.freeswitch.sip_port}"
        scenario = presses(digits) if digits else "uac"
        phone = Sipp(scenario, target, service=to, caller=caller, hold_ms=hold_ms)
        self.far_ends.append(phone)
        return Caller(phone)

    def row(self, call_id: UUID) -> Call:
        with transaction() as session:
            return session.scalars(select(Call).where(Call.id == call_id)).one()

    def rows(self) -> list[Call]:
        with transaction() as session:
            return list(session.scalars(select(Call).order_by(Call.initiated_at)))

    def wait_status(self, call_id: UUID, *statuses: str, timeout: float = 15) -> Call:
        def reached() -> Call | None:
            row = self.row(call_id)
            return row if row.status.value in statuses else None

        found = wait_until(reached, timeout)
        assert isinstance(found, Call)
        return found

    def command(self, call_id: UUID, verb: str, **args: Any) -> dict[str, Any]:
        """What the API does for a live call: a request over the bus."""
        return request(self.row(call_id), verb, args)

    def suspend(self) -> None:
        with transaction() as session:
            session.merge(self.tenant).status = TenantStatus.SUSPENDED

    def forget_carriers(self) -> None:
        with transaction() as session:
            session.execute(delete(Carrier))

    def told(self, command: str) -> str:
        """The switch's answer to an API command."""
        return self.observer.api(Api(command))

    def kept_ends(self) -> str:
        """What the switch still keeps of channels that ended."""
        try:
            return self.observer.api(commands.hash_dump(REALM))
        except CommandRefused:
            return ""

    def switch_channels(self) -> list[str]:
        listed = json.loads(self.observer.api(commands.show_channels()))
        return [row["uuid"] for row in listed.get("rows", [])]

    def timeline(self, call_id: UUID) -> list[str]:
        with transaction() as session:
            lines = session.scalars(
                select(CallEvent)
                .where(CallEvent.call_id == call_id)
                .order_by(CallEvent.occurred_at)
            )
            return [line.type for line in lines]

    def wait_line(self, call_id: UUID, type: str, timeout: float = 10) -> None:
        """Wait for a line of a call's timeline."""
        wait_until(lambda: type in self.timeline(call_id), timeout)

    def domain_events(self, call_id: UUID) -> list[str]:
        with transaction() as session:
            rows = session.scalars(
                select(DomainEvent).where(DomainEvent.key.startswith(call_id.hex))
            )
            return sorted(row.type for row in rows)

    def destination(self, number: str, destination: dict[str, str] | None) -> str:
        """A further number of the tenant that leads to `destination`."""
        with transaction() as session:
            session.add(
                PhoneNumber(number=number, tenant_id=self.tenant.id, destination=destination)
            )
        return number


@dataclass
class Caller:
    """Who calls in; `responses` are SIP status codes (FreeSWITCH only)."""

    sipp: Sipp | None

    @property
    def responses(self) -> list[int]:
        assert self.sipp is not None
        return self.sipp.result.responses


@dataclass
class Rig(Line):
    """A line whose engine runs in this process."""

    engine: Engine = field(kw_only=True)

    @property
    def switch(self) -> Switch:
        return self.engine.switches[0]


@contextmanager
def running_engine(machine: Machine) -> Iterator[Engine]:
    """An engine in this process over one switch."""
    settings = get_settings()
    sandbox = machine.freeswitch is None
    settings.esl_url = None if sandbox else machine.url
    settings.sandbox_esl_url = machine.url if sandbox else None
    engine = Engine()
    greenlet = gevent.spawn(engine.run)
    try:
        wait_until(lambda: len(engine.held) == len(engine.switches), 15)
        yield engine
    finally:
        engine.stop.set()
        greenlet.join(timeout=5)


def _sandbox_call(caller: str, to: str, hold_ms: int, digits: str) -> Api:
    seconds = (hold_ms + 500 * len(digits)) / 1000
    keys = digits.lstrip()  # a blank waits 1 s
    pressed = f" digits={keys} digits_at={0.5 + len(digits) - len(keys)}" if keys else ""
    return Api(f"sandbox_call {caller} {to} hangup_after={seconds}{pressed}")


@contextmanager
def machine(kind: str) -> Iterator[Machine]:
    """Start one kind of switch: `freeswitch` or `sandbox`."""
    if kind == "sandbox":
        with sandbox_switch() as url:
            yield Machine(url, None)
        return
    with DatabaseProvisioner() as provisioner, FreeSwitch(api_url=provisioner.url) as freeswitch:
        yield Machine(freeswitch.esl_url, freeswitch)


@contextmanager
def rig(on: Machine, tenant: Tenant, number: str) -> Iterator[Rig]:
    """A line with an engine in this process."""
    with running_engine(on) as engine, Line.on(on, tenant, number) as line:
        yield Rig(**vars(line), engine=engine)
