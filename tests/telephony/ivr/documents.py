"""Flow documents for tests, and a tenant that has just what they name."""

from collections.abc import Iterable
from typing import Any

from irisx.telephony.ivr.flow import Flow

Document = dict[str, Any]


def node(id: str, type: str, config: Document | None = None, **fields: Any) -> Document:
    return {"id": id, "type": type, "config": config or {}, **fields}


def say(id: str, text: str = "Hello.", **fields: Any) -> Document:
    return node(id, "play", {"text": text}, **fields)


def bye(id: str = "bye") -> Document:
    return node(id, "hangup")


def document(*nodes: Document, **fields: Any) -> Document:
    """A flow that begins with its first node."""
    return {"name": "Test", "entry_point": nodes[0]["id"], "nodes": list(nodes), **fields}


def flow(*nodes: Document, **fields: Any) -> Flow:
    return Flow.model_validate(document(*nodes, **fields))


class Tenant:
    """`nodes.base.Catalog` of a tenant with prm_1, sip_1, +15555550100 and the flow flow_1."""

    def __init__(self, entered: Iterable[str] = (), sets: Iterable[str] = ()) -> None:
        self._entered = frozenset(entered)
        self._sets = frozenset(sets)

    def has_prompt(self, prompt_id: str) -> bool:
        return prompt_id == "prm_1"

    def has_agent(self, account_id: str) -> bool:
        return account_id == "sip_1"

    def has_number(self, number: str) -> bool:
        return number == "+15555550100"

    def has_published_flow(self, flow_id: str) -> bool:
        return flow_id == "flow_1"

    def has_queue(self, queue_id: str) -> bool:
        return False

    def has_assistant(self, assistant_id: str) -> bool:
        return False

    def room_is_there(self, room: str) -> bool:
        return room == "queue"

    def refuses_destination(self, number: str) -> str | None:
        return None if number.startswith("+1") else f"{number} is not in your allowed_countries"

    def refuses_url(self, url: str) -> str | None:
        return "localhost is not a public address" if "localhost" in url else None

    def flows_entered(self, flow_id: str) -> frozenset[str]:
        return self._entered

    def variables_set(self, flow_id: str) -> frozenset[str]:
        return self._sets
