"""Agents' phones in calls that no queue gave them: their own, direct ones, consultations,
supervision. Agents have one capacity over all, so queues leave these agents alone."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Engagement:
    """One leg to an agent's phone. `talks`: it is answered; until then it rings."""

    call_id: UUID
    talks: bool


class Engagements:
    """All such legs of a tenant's agents."""

    def __init__(self) -> None:
        self._legs: dict[int, dict[str, Engagement]] = {}

    def add(self, agent_id: int, leg: str, engagement: Engagement) -> bool:
        """False if that was known: a late or repeated event."""
        legs = self._legs.setdefault(agent_id, {})
        known = legs.get(leg)
        if known is not None and known.talks >= engagement.talks:
            return False
        legs[leg] = engagement
        return True

    def remove(self, agent_id: int, leg: str) -> Engagement | None:
        """The leg is gone; what it was, if it was known."""
        legs = self._legs.get(agent_id, {})
        gone = legs.pop(leg, None)
        if not legs:
            self._legs.pop(agent_id, None)
        return gone

    def has(self, agent_id: int) -> bool:
        return agent_id in self._legs

    def call_of(self, agent_id: int) -> UUID | None:
        """The call on which the agent talks."""
        legs = self._legs.get(agent_id, {}).values()
        return next((each.call_id for each in legs if each.talks), None)
