"""What the tenant's and the administrator's views of phone numbers share."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StringConstraints

from irisx.api.schemas import Answer, PublicId, Timestamp
from irisx.telephony.calls import destinations

NumberId = Annotated[int, PublicId("num")]
TenantId = Annotated[int, PublicId("ten")]
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]

_NOT_YET = {
    "queue": "queues can't be reached by calls in this version",
}


def _available(value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in _NOT_YET:
        raise ValueError(_NOT_YET[kind])
    return value


#: What an inbound call reaches, as the engine will read it.
Destination = Annotated[destinations.Destination, BeforeValidator(_available)]


def check_flow(tenant_id: int, destination: destinations.Destination | None) -> None:
    """A number can only reach a published flow of the tenant. Raises ValidationError."""
    if isinstance(destination, destinations.FlowDestination):
        destinations.resolve(destination, tenant_id, "destination.id")


class StoredDestination(Answer):
    type: Literal["flow", "queue", "agent", "assistant", "number", "sip"]
    id: str | None = None
    to: str | None = None


class Number(Answer):
    id: NumberId
    number: str
    name: str | None
    destination: StoredDestination | None
    created_at: Timestamp
