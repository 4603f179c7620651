"""Which carriers a call may leave by, and in which order they are tried."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from irisx.tenancy.models import Carrier
from irisx.tenancy.settings import TenantSettings


@dataclass(frozen=True, slots=True)
class Usage:
    """What a carrier carries now. `cps`: legs dialled in the last second."""

    cps: int
    concurrent: int


IDLE = Usage(cps=0, concurrent=0)


@dataclass(frozen=True, slots=True)
class Route:
    """One way out. `gateway`: FreeSWITCH's name of the carrier; `cost`: per minute."""

    carrier_id: int
    gateway: str
    cost: Decimal


def choose_routes(
    to: str,
    settings: TenantSettings,
    carriers: Iterable[Carrier],
    usage: Mapping[int, Usage],
    *,
    sandbox: bool,
) -> list[Route]:
    """The carriers for an E.164 number, best first: longest prefix, then priority, then cost.

    `sandbox`: the switch that dials is a sandbox, whose carriers are others. Left out are carriers
    that are disabled, dearer than the tenant pays, or full; `capacity.take_carrier` has the last
    word on that.
    """
    ranked = []
    for carrier in carriers:
        matched = _longest_match(to.removeprefix("+"), carrier.prefixes)
        if matched is None or carrier.sandbox is not sandbox or not carrier.enabled:
            continue
        if _too_dear(carrier, settings) or is_full(carrier, usage.get(carrier.id, IDLE)):
            continue
        route = Route(carrier.id, carrier.gateway, carrier.cost)
        ranked.append((-matched, carrier.priority, carrier.cost, carrier.id, route))
    return [route for *_, route in sorted(ranked, key=lambda entry: entry[:4])]


def is_full(carrier: Carrier, usage: Usage) -> bool:
    """Whether one more leg would break a cap of the carrier."""
    return (carrier.max_cps is not None and usage.cps >= carrier.max_cps) or (
        carrier.max_concurrent is not None and usage.concurrent >= carrier.max_concurrent
    )


def _longest_match(digits: str, prefixes: Iterable[str]) -> int | None:
    return max((len(prefix) for prefix in prefixes if digits.startswith(prefix)), default=None)


def _too_dear(carrier: Carrier, settings: TenantSettings) -> bool:
    limit = settings.max_cost_per_minute
    return limit is not None and carrier.cost > Decimal(str(limit))
