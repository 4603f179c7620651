"""A matcher with one queue and agents by name, for tests that read as what happens on a floor."""

from typing import Any

from irisx.telephony.acd.matching import Matcher
from irisx.telephony.acd.models import OfferOutcome, Strategy
from irisx.telephony.acd.rules import Caller, Decision, Expire, Offer, Place, QueueRules, Seat

QUEUE = 1


class Floor:
    """`now` is the time; decisions are answered as text: `ann for 1`, `1 leaves: wait`."""

    def __init__(self, strategy: Strategy = Strategy.LONGEST_IDLE, **rules: Any) -> None:
        self.now = 1000.0
        self.matcher = Matcher()
        self.names: dict[int, str] = {}
        self.said(self.matcher.set_queue(QueueRules(QUEUE, strategy=strategy, **rules), self.now))

    def rules(self, **rules: Any) -> str:
        return self.said(self.matcher.set_queue(QueueRules(QUEUE, **rules), self.now))

    def queue(self, queue_id: int, **rules: Any) -> None:
        self.matcher.set_queue(QueueRules(queue_id, **rules), self.now)

    def agent(self, name: str, tier: int = 1, level: int = 1, **seat: Any) -> str:
        """The agent is (again) free, from now on."""
        agent_id = next((key for key, known in self.names.items() if known == name), None)
        agent_id = agent_id or len(self.names) + 1
        self.names[agent_id] = name
        values = {
            "places": {QUEUE: Place(tier, level)},
            "logged_in": True,
            "ready": True,
            "idle_since": self.now,
            **seat,
        }
        self.now += 1
        return self.said(self.matcher.set_seat(Seat(agent_id, **values), self.now))

    def id_of(self, name: str) -> int:
        return next(key for key, known in self.names.items() if known == name)

    def caller(self, caller_id: str, priority: int = 0, queue: int = QUEUE, **fields: Any) -> str:
        self.now += 1
        values = {"waits_since": self.now, "place_at": self.now, **fields}
        if "sticky" in values:
            values["sticky"] = self.id_of(values["sticky"])
        caller = Caller(caller_id, queue, priority=priority, **values)
        return self.said(self.matcher.enter(caller, self.now))

    def ended(self, caller_id: str, name: str, outcome: OfferOutcome) -> str:
        self.now += 1
        decisions = self.matcher.offer_ended(caller_id, self.id_of(name), outcome, self.now)
        return self.said(decisions)

    def answered(self, caller_id: str, name: str) -> str:
        return self.said(self.matcher.answered(caller_id, self.id_of(name)))

    def leaves(self, caller_id: str) -> str:
        return self.said(self.matcher.leave(caller_id))

    def after(self, seconds: float) -> str:
        """All that comes due, each at its time."""
        until, said = self.now + seconds, []
        while (due := self.matcher.next_due()) is not None and due <= until:
            self.now = max(self.now, due)
            said.append(self.said(self.matcher.due(self.now)))
        self.now = until
        return ", ".join(filter(None, said))

    def said(self, decisions: list[Decision]) -> str:
        return ", ".join(self._say(decision) for decision in decisions)

    def _say(self, decision: Decision) -> str:
        if isinstance(decision, Offer):
            who = "+".join(self.names[agent] for agent in decision.agents)
            return f"{who} for {decision.caller}"
        if isinstance(decision, Expire):
            return f"{decision.caller} leaves: {decision.reason}"
        return f"not {self.names[decision.agent]}"
