"""Calls that lead to an assistant without a flow: by their number, or as a transfer's target."""

from typing import Any

import gevent
import structlog
from sqlalchemy.exc import SQLAlchemyError

from irisx.telephony.assistants.talk import BARRIER, FAILED, VARIABLE, Talk, hand_over, parse
from irisx.telephony.calls import connect
from irisx.telephony.calls.live import LiveCall
from irisx.telephony.esl.errors import ChannelGone, EslError
from irisx.telephony.esl.wire import Event
from irisx.telephony.switch import Switch
from irisx.tenancy import assistants

log = structlog.get_logger()

_ANSWER_SECONDS = 10.0


class AssistantRun:
    """A call with an assistant: one greenlet, which ends with the call (`live.InFlow`)."""

    def __init__(self, switch: Switch, call: LiveCall) -> None:
        self._switch = switch
        self._call = call
        self._greenlet: gevent.Greenlet | None = None

    def digit(self, event: Event) -> None:
        """Keys say nothing in a conversation."""

    def bridge_ended(self, cause: str) -> None:
        """Nothing is bridged in a conversation."""

    def end(self) -> None:
        self._kill()

    def leave(self) -> None:
        self._kill()

    def replace(self) -> None:
        self._call.talk = None
        self._kill()

    def _kill(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)

    def begin(self, assistant: str) -> None:
        """Answer if need be, and talk."""
        self._greenlet = gevent.spawn(self._guarded, self._begin, assistant)

    def resume(self) -> None:
        """Go on where the engine that is gone stopped."""
        self._greenlet = gevent.spawn(self._guarded, self._resume)

    def _guarded(self, run: Any, *arguments: Any) -> None:
        try:
            run(*arguments)
        except (ChannelGone, gevent.GreenletExit):
            return
        except EslError as error:  # whoever takes the node up goes on
            log.info("assistant.interrupted", sid=self._call.sid, reason=str(error))

    def _begin(self, assistant: str) -> None:
        if self._call.answered_at is None:
            steps = [("answer", ""), BARRIER]
            _, answered = self._switch.connection.execute_all(self._call.uuid, steps)
            answered.wait(_ANSWER_SECONDS)
        self._talk(Talk(self._switch, self._call, assistant), assistant)

    def _resume(self) -> None:
        dump = self._switch.dump(self._call.uuid)
        kept = parse(dump.variable(VARIABLE)) if dump is not None else None
        if dump is not None and kept is not None:
            self._talk(Talk(self._switch, self._call, kept[1], back=dump), kept[1])

    def _talk(self, talk: Talk, assistant: str) -> None:
        ended = talk.run()
        log.info("assistant.ended", sid=self._call.sid, outcome=ended.outcome, reason=ended.reason)
        destination = ended.destination
        if destination is None and ended.outcome == FAILED:
            destination = self._escalation(assistant)
        if destination is None:
            connect.hang_up(self._switch, self._call, "NORMAL_CLEARING")
        else:
            hand_over(self._switch, self._call, ended, destination)

    def _escalation(self, assistant: str) -> dict[str, Any] | None:
        """Who takes callers over, where the conversation could not even be begun."""
        try:
            return assistants.escalation(self._call.tenant_id, assistant)
        except SQLAlchemyError as error:
            log.warning("assistant.unknown", sid=self._call.sid, reason=str(error)[:200])
            return None


def start(switch: Switch, call: LiveCall, assistant: str) -> None:
    """Have an assistant talk with the customer of a call that is in no flow."""
    run = AssistantRun(switch, call)
    call.flow = run
    run.begin(assistant)


def resume(switch: Switch, call: LiveCall) -> None:
    """Take up a call with an assistant, after its engine was lost."""
    if call.flow is not None:
        call.flow.replace()
    run = AssistantRun(switch, call)
    call.flow = run
    run.resume()
