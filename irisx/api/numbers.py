"""What the tenant's and the administrator's views of phone numbers share."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from irisx.api.schemas import Answer, PublicId, Timestamp
from irisx.telephony.calls import destinations

NumberId = Annotated[int, PublicId("num")]
TenantId = Annotated[int, PublicId("ten")]
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]

#: What an inbound call reaches, as the engine will read it.
Destination = destinations.Destination


def check_destination(tenant_id: int, destination: Destination | None) -> None:
    """A number can only reach a published flow or a queue of the tenant. Raises ValidationError."""
    if isinstance(destination, destinations.FlowDestination | destinations.QueueDestination):
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
