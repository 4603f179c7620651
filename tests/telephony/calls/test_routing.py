from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from irisx.telephony.calls.routing import IDLE, Usage, choose_routes, is_full
from irisx.tenancy.models import Carrier
from irisx.tenancy.settings import TenantSettings

TO = "+14155550100"
ANY = TenantSettings()


def carrier(id: int, *prefixes: str, **columns: object) -> Carrier:
    defaults = {
        "priority": 100,
        "cost": Decimal(0),
        "enabled": True,
        "sandbox": False,
        "max_cps": None,
        "max_concurrent": None,
    }
    return Carrier(id=id, prefixes=list(prefixes), **defaults | columns)


def chosen(*carriers: Carrier, settings: TenantSettings = ANY, **options: object) -> list[int]:
    given = {"usage": {}, "sandbox": False} | options
    return [route.carrier_id for route in choose_routes(TO, settings, carriers, **given)]


def test_the_longest_prefix_wins_whatever_priority_and_cost() -> None:
    assert chosen(
        carrier(1, "", priority=1),
        carrier(2, "1415", "1", priority=200, cost=Decimal(9)),
        carrier(3, "1", priority=1),
    ) == [2, 3, 1]


def test_then_the_lower_priority_then_the_lower_cost() -> None:
    assert chosen(
        carrier(1, "1", priority=20),
        carrier(2, "1", priority=10, cost=Decimal("0.02")),
        carrier(3, "1", priority=10, cost=Decimal("0.01")),
    ) == [3, 2, 1]


def test_equal_carriers_are_tried_in_the_order_of_their_ids() -> None:
    assert chosen(carrier(2, ""), carrier(1, "")) == [1, 2]


def test_a_carrier_without_a_matching_prefix_is_not_tried() -> None:
    assert (
        chosen(carrier(1), carrier(2, "44"), carrier(3, "14156"), carrier(4, "1415555010012")) == []
    )


def test_a_disabled_carrier_is_not_tried() -> None:
    assert chosen(carrier(1, "", enabled=False)) == []


def test_sandbox_and_real_carriers_never_mix() -> None:
    real, sandbox = carrier(1, ""), carrier(2, "", sandbox=True)
    assert chosen(real, sandbox) == [1]
    assert chosen(real, sandbox, sandbox=True) == [2]


def test_a_carrier_dearer_than_the_tenant_pays_is_not_tried() -> None:
    at_limit, above = carrier(1, "", cost=Decimal("0.1")), carrier(2, "", cost=Decimal("0.100001"))
    assert chosen(at_limit, above, settings=TenantSettings(max_cost_per_minute=0.1)) == [1]
    assert chosen(at_limit, above) == [1, 2]


def test_a_full_carrier_gives_way_to_the_next() -> None:
    first = carrier(1, "", priority=1, max_cps=5, max_concurrent=30)
    second = carrier(2, "")
    assert chosen(first, second, usage={1: Usage(cps=4, concurrent=29)}) == [1, 2]
    assert chosen(first, second, usage={1: Usage(cps=5, concurrent=0)}) == [2]
    assert chosen(first, second, usage={1: Usage(cps=0, concurrent=30)}) == [2]


def test_a_route_names_the_gateway() -> None:
    (route,) = choose_routes(TO, ANY, [carrier(7, "", cost=Decimal("0.5"))], {}, sandbox=False)
    assert (route.gateway, route.cost) == ("carrier_7", Decimal("0.5"))


digits = st.text("0123456789", max_size=4)
caps = st.none() | st.integers(0, 3)
carriers_of_any_kind = st.lists(
    st.builds(
        lambda id, prefixes, columns: carrier(id, *prefixes, **columns),
        st.integers(1, 1000),
        st.lists(digits, max_size=4),
        st.fixed_dictionaries(
            {
                "priority": st.integers(0, 3),
                "cost": st.decimals(0, 3, places=2),
                "enabled": st.booleans(),
                "sandbox": st.booleans(),
                "max_cps": caps,
                "max_concurrent": caps,
            }
        ),
    ),
    max_size=8,
    unique_by=lambda carrier: carrier.id,
)
usages = st.dictionaries(
    st.integers(1, 1000), st.builds(Usage, st.integers(0, 4), st.integers(0, 4))
)


@given(
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True),
    st.none() | st.floats(0, 3),
    carriers_of_any_kind,
    usages,
    st.booleans(),
)
def test_exactly_the_usable_carriers_are_chosen_and_in_order(
    to: str,
    limit: float | None,
    carriers: list[Carrier],
    usage: dict[int, Usage],
    sandbox: bool,
) -> None:
    settings = TenantSettings(max_cost_per_minute=limit)
    routes = choose_routes(to, settings, carriers, usage, sandbox=sandbox)
    by_id = {c.id: c for c in carriers}
    usable = {
        c.id
        for c in carriers
        if c.enabled
        and c.sandbox == sandbox
        and any(to[1:].startswith(prefix) for prefix in c.prefixes)
        and (limit is None or c.cost <= Decimal(str(limit)))
        and not is_full(c, usage.get(c.id, IDLE))
    }
    assert {route.carrier_id for route in routes} == usable
    assert len(routes) == len(usable)
    ranks = [
        (-max(len(p) for p in c.prefixes if to[1:].startswith(p)), c.priority, c.cost)
        for c in (by_id[route.carrier_id] for route in routes)
    ]
    assert ranks == sorted(ranks)
