"""Calls in flows: beginning one, taking one up again, and its end."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gevent
import phonenumbers
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from irisx.kernel.clock import isoformat
from irisx.telephony.assistants import talk
from irisx.telephony.calls.live import LiveCall, Ringing
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import ChannelGone, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.ivr import versions, visits
from irisx.telephony.ivr.live_step import LiveStep
from irisx.telephony.ivr.position import VARIABLE, Kept, Unreadable
from irisx.telephony.ivr.scope import Lazily, Scope
from irisx.telephony.ivr.step import CallEnded
from irisx.telephony.ivr.walk import begin, walk
from irisx.telephony.switch import Switch
from irisx.tenancy import contacts

log = structlog.get_logger()

_NO_FLOW = "SUBSCRIBER_ABSENT"
_FAILED = "NORMAL_TEMPORARY_FAILURE"
_CONTACT_SECONDS = 0.5
_WIDEBAND_HZ = 16_000
#: How long after an engine's return the channel may still do what it had been told (s).
_CATCH_UP_SECONDS = 14_400.0


class FlowRun:
    """A call that is in a flow: one greenlet, which ends with the call.

    Events come from the call's own greenlet (`calls/handling.py`).
    """

    def __init__(self, switch: Switch, call: LiveCall) -> None:
        self._switch = switch
        self._call = call
        self._step: LiveStep | None = None
        self._greenlet: gevent.Greenlet | None = None
        self._end = visits.HUNG_UP

    def digit(self, event: Event) -> None:
        if self._step is not None:
            self._step.digit(event)

    def bridge_ended(self, cause: str) -> None:
        if self._step is not None:
            self._step.bridge_ended(cause)

    def end(self) -> None:
        """The call is over."""
        self._kill()

    def leave(self) -> None:
        """Something else is done with the call from now on."""
        self._end = visits.TAKEN_OUT
        self._kill()

    def replace(self) -> None:
        """Another run goes on with the call."""
        self._step = None
        self._call.talk = None
        self._kill()

    def _kill(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def begin(self, flow_id: str, rate: str | None) -> None:
        """Answer if need be, and run the flow from its start."""
        self._greenlet = gevent.spawn(self._guarded, self._begin, flow_id, rate)

    def resume(self) -> None:
        """Go on where the engine that is gone stopped."""
        self._greenlet = gevent.spawn(self._guarded, self._resume)

    def _guarded(self, run: Any, *arguments: Any) -> None:
        try:
            run(*arguments)
        except (CallEnded, ChannelGone):
            self._dropped()
        except gevent.GreenletExit:
            self._dropped()
        except EslError as error:  # whoever takes the node up goes on
            log.info("ivr.interrupted", sid=self._call.sid, reason=str(error))
        except Exception:
            log.exception("ivr.failed", sid=self._call.sid)
            self._refuse(_FAILED)

    def _dropped(self) -> None:
        if self._step is not None:
            self._step.dropped(self._end)

    def _refuse(self, cause: str) -> None:
        try:
            self._switch.run(commands.uuid_kill(self._call.uuid, cause))
        except EslError as error:
            log.info("ivr.not_refused", sid=self._call.sid, reason=str(error))

    def _begin(self, flow_id: str, rate: str | None) -> None:
        version = versions.patiently(lambda: versions.published(self._call.tenant_id, flow_id))
        if version is None:
            log.warning("ivr.not_published", sid=self._call.sid, flow=flow_id)
            self._refuse(_NO_FLOW)
            return
        variables = dict(version.flow.variables)
        kept = Kept(begin(version), variables, wideband=is_wideband(rate))
        scope = Scope(facts(self._call), variables)
        answer = self._call.answered_at is None
        self._step = LiveStep(self._switch, self._call, scope, kept, answer=answer)
        walk(self._step, kept.position)

    def _resume(self) -> None:
        dump = self._switch.dump(self._call.uuid)
        # While it talks to an assistant, or hears a queue's music, the channel is never done.
        stays = self._call.queued is not None or (dump and dump.variable(talk.VARIABLE))
        if dump is not None and not stays:
            # Event-lock: this runs when all is done that the channel had been told.
            barrier = self._switch.connection.execute(self._call.uuid, "unset", "irisx_flow_back")
            barrier.wait(_CATCH_UP_SECONDS)
            dump = self._switch.dump(self._call.uuid)
        if dump is None:
            return
        try:
            kept = Kept.decode(dump.variable(VARIABLE) or "")
        except Unreadable as error:
            log.error("ivr.position_unreadable", sid=self._call.sid, reason=str(error))
            self._refuse(_FAILED)
            return
        versions.patiently(lambda: versions.flow_of(kept.position.place.version))
        scope = Scope(facts(self._call), dict(kept.variables))
        self._step = LiveStep(self._switch, self._call, scope, kept, back=dump)
        walk(self._step, kept.position)


def start(switch: Switch, call: LiveCall, flow_id: str, event: Event | None = None) -> None:
    """Put a call into a flow (`flow_3`); one that it is in already is left.

    `event`: one of the channel's, for its codec.
    """
    leave(switch, call)
    run = call.flow = FlowRun(switch, call)
    run.begin(flow_id, event.get("Channel-Read-Codec-Rate") if event is not None else None)


def resume(switch: Switch, call: LiveCall) -> None:
    """Take up a call that was in a flow when its engine was lost."""
    if call.flow is not None:
        call.flow.replace()
    run = call.flow = FlowRun(switch, call)
    run.resume()


def leave(switch: Switch, call: LiveCall) -> None:
    """Take a call out of the flow, or the conversation, that it is in, if it is in one.

    Before anything is done to its channel that the flow would take for an outcome.
    """
    if call.flow is not None:
        call.flow.leave()
        call.flow = None
        call.ringing = Ringing()
        switch.run(
            commands.uuid_setvar(call.uuid, VARIABLE, ""),
            commands.uuid_setvar(call.uuid, talk.VARIABLE, ""),
            commands.uuid_setvar(call.uuid, "hangup_after_bridge", "true"),
        )


def is_wideband(rate: str | None) -> bool:
    return rate is not None and rate.isdigit() and int(rate) >= _WIDEBAND_HZ


def facts(call: LiveCall) -> Mapping[str, Mapping[str, Any]]:
    """What a flow's templates know of the call."""
    return {
        "call": {
            "sid": call.sid,
            "from": call.from_number,
            "to": call.to_number,
            "direction": call.direction.value,
            "started_at": isoformat(call.initiated_at),
        },
        "caller": Lazily(lambda: _caller(call.customer_number)),
        "contact": Lazily(lambda: _contact(call)),
    }


def _caller(customer_number: str) -> dict[str, Any]:
    number = phonenumbers.PhoneNumber()
    with suppress(phonenumbers.NumberParseException):
        number = phonenumbers.parse(customer_number)
    country = phonenumbers.region_code_for_number(number) or ""
    return {"number": customer_number, "name": "", "country": country}


def _contact(call: LiveCall) -> dict[str, Any]:
    """The customer's contact, a campaign's facts first. A database that is away or slow makes a
    stranger of them, and keeps nobody waiting."""
    of_campaign: dict[str, Any] = call.options.get("campaign", {}).get("contact", {})
    try:
        with gevent.Timeout(_CONTACT_SECONDS, TimeoutError("the look-up took too long")):
            return contacts.fields_of_caller(call.tenant_id, call.customer_number) | of_campaign
    except (DBAPIError, PoolTimeout, TimeoutError) as error:
        log.warning("ivr.contact_unknown", sid=call.sid, reason=str(error))
        return of_campaign
