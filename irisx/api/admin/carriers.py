"""`/admin/carriers`: the SIP trunks by which calls come and go."""

import ipaddress
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from irisx.api.auth import ADMIN
from irisx.api.http import Router
from irisx.api.schemas import (
    UNSET,
    Answer,
    Body,
    Name,
    OffsetPagination,
    OffsetQuery,
    PublicId,
    Success,
    Timestamp,
    listed,
)
from irisx.tenancy import carriers
from irisx.tenancy.access import Admin
from irisx.tenancy.models import Carrier as CarrierRow

router = Router("Carrier Management")

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def _host(text: str) -> str:
    """A DNS name (RFC 1123 §2.1) or an IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    labels = text.removesuffix(".").split(".")
    numeric = labels[-1].isdigit()  # 10.0.0.256 is no address, and no name either
    if numeric or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a DNS name and not an IP address")
    return text.removesuffix(".").lower()


CarrierId = Annotated[int, PublicId("car")]
Host = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Transport = Literal["udp", "tcp", "tls"]
#: What goes into SIP headers and FreeSWITCH's XML: visible ASCII.
Credential = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]+$", max_length=200)]
Prefixes = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[0-9]{0,15}$")]],
    Field(max_length=1000, description='Digits without +; "" matches every number.'),
]
Priority = Annotated[int, Field(ge=0, le=1_000_000, description="Lower is tried first.")]
Cost = Annotated[
    Decimal,
    Field(ge=0, lt=1_000_000, max_digits=12, decimal_places=6, description="Per minute."),
    PlainSerializer(float, return_type=float),
    WithJsonSchema({"type": "number", "minimum": 0, "exclusiveMaximum": 1_000_000}),
]
Cap = Annotated[int, Field(ge=1, le=1_000_000)]


class NewCarrier(Body):
    name: Name
    host: Host
    port: Port = 5060
    transport: Transport = "udp"
    username: Credential | None = None
    password: Credential | None = Field(None, description="Kept encrypted, shown to nobody.")
    register_: bool = Field(False, alias="register", description="Register at the carrier.")
    prefixes: Prefixes = Field(default_factory=lambda: [""])
    priority: Priority = 100
    cost: Cost = Field(default_factory=Decimal)
    max_cps: Cap | None = None
    max_concurrent: Cap | None = None
    enabled: bool = True
    sandbox: bool = Field(False, description="A carrier of the sandbox switch.")


class CarrierChange(Body):
    name: Name = UNSET
    host: Host = UNSET
    port: Port = UNSET
    transport: Transport = UNSET
    username: Credential | None = UNSET
    password: Credential | None = UNSET
    register_: bool = Field(default_factory=lambda: False, alias="register")
    prefixes: Prefixes = UNSET
    priority: Priority = UNSET
    cost: Cost = UNSET
    max_cps: Cap | None = UNSET
    max_concurrent: Cap | None = UNSET
    enabled: bool = UNSET
    sandbox: bool = UNSET


class Carrier(Answer):
    id: CarrierId
    name: str
    host: str
    port: int
    transport: Transport
    username: str | None
    register_: bool = Field(alias="register")
    prefixes: list[str]
    priority: int
    cost: Cost
    max_cps: int | None
    max_concurrent: int | None
    enabled: bool
    sandbox: bool
    created_at: Timestamp
    updated_at: Timestamp


class Carriers(Answer):
    carriers: list[Carrier]
    pagination: OffsetPagination


@router.get("/admin/carriers", access=ADMIN, answer=Success[Carriers])
def admin_list_carriers(query: OffsetQuery) -> dict[str, Any]:
    """List carriers."""
    rows, total = carriers.list_page(limit=query.limit, offset=query.offset)
    return listed("carriers", rows, query, total)


@router.post("/admin/carriers", access=ADMIN, answer=Carrier, status=201)
def admin_create_carrier(caller: Admin, body: NewCarrier) -> CarrierRow:
    """Add a carrier; calls can leave by it and come from its host within 2 s."""
    return carriers.create(caller, **_sent(body))


@router.get("/admin/carriers/<carrier_id>", access=ADMIN, answer=Carrier)
def admin_get_carrier(carrier_id: CarrierId) -> CarrierRow:
    """Get a carrier."""
    return carriers.get(carrier_id)


@router.put("/admin/carriers/<carrier_id>", access=ADMIN, answer=Carrier)
def admin_update_carrier(caller: Admin, carrier_id: CarrierId, body: CarrierChange) -> CarrierRow:
    """Update a carrier."""
    return carriers.change(caller, carrier_id, **_sent(body, exclude_unset=True))


@router.delete("/admin/carriers/<carrier_id>", access=ADMIN)
def admin_delete_carrier(caller: Admin, carrier_id: CarrierId) -> None:
    """Remove a carrier. Calls that are on it go on."""
    carriers.delete(caller, carrier_id)


def _sent(body: NewCarrier | CarrierChange, *, exclude_unset: bool = False) -> dict[str, Any]:
    """The body's fields by the names of the columns; the price as the exact decimal it is."""
    fields = body.model_fields_set if exclude_unset else type(body).model_fields
    return {name.removesuffix("_"): getattr(body, name) for name in fields}
