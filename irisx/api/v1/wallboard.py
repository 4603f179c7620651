"""`/v1/wallboard`: what goes on in the queues, and when that is too much."""

from typing import Annotated, Any

from irisx.api.http import Router
from irisx.api.schemas import Answer, PublicId, Timestamp
from irisx.telephony.wallboard import service
from irisx.telephony.wallboard.config import WallboardConfig
from irisx.telephony.wallboard.figures import Board, Figures
from irisx.tenancy.access import Caller
from irisx.tenancy.agent_models import AgentStatus

router = Router("Wallboard")

_READ, _WRITE = "wallboard:read", "wallboard:write"

QueueId = Annotated[int, PublicId("queue")]


class Values(Answer):
    """Times in seconds, rates in percent; null: of nobody. `longest_wait`: of who waits now.
    Averages and rates are of the configuration's period."""

    calls_in_queue: int
    agents_available: int
    agents_busy: int
    avg_wait_time: int | None
    avg_handle_time: int | None
    service_level: float | None
    abandoned_rate: float | None
    longest_wait: int | None


class QueueValues(Values):
    id: QueueId
    name: str


class Wallboard(Values):
    queues: list[QueueValues]
    since: Timestamp
    at: Timestamp


class Counts(Answer):
    """Callers who entered in the period. `in_time_of`: denominator of the service level, whose
    numerator is `answered_in_time`. `waited_ms` is of `waited` callers, `handled_ms` (talk and
    wrap-up) of `handled`."""

    entered: int
    answered: int
    answered_in_time: int
    in_time_of: int
    abandoned: int
    short_abandons: int
    overflowed: int
    exited: int
    callbacks: int
    waited: int
    waited_ms: int
    handled: int
    handled_ms: int


class Detail(Values):
    """`service_level_formula`: null in the total, which adds the queues' own."""

    talking: int
    agents: dict[AgentStatus, int]
    counts: Counts
    service_level_formula: str | None


class QueueDetail(Detail):
    id: QueueId
    name: str


class Stats(Answer):
    """`calls`: live calls of the tenant by status, in queues or not."""

    total: Detail
    queues: list[QueueDetail]
    calls: dict[str, int]
    since: Timestamp
    at: Timestamp


@router.get("/v1/wallboard", access=_READ, answer=Wallboard)
def get_wallboard(caller: Caller) -> dict[str, Any]:
    """Get the wallboard. Changes are pushed over `GET /v1/events` as `wallboard.updated`."""
    found = service.read(caller.tenant_id)
    return found.total.view() | _frame(found, [_named(each) for each in found.queues])


@router.get("/v1/wallboard/stats", access=_READ, answer=Stats)
def get_wallboard_stats(caller: Caller) -> dict[str, Any]:
    """Get the figures behind the wallboard, with the numerator and denominator of each rate."""
    found = service.read(caller.tenant_id)
    return {"total": _detail(found.total), "calls": found.calls} | _frame(
        found, queue_details(found)
    )


@router.get("/v1/wallboard/config", access=_READ, answer=WallboardConfig)
def get_wallboard_config(caller: Caller) -> WallboardConfig:
    """Get the wallboard's configuration."""
    return service.config(caller.tenant_id)


@router.put("/v1/wallboard/config", access=_WRITE, answer=WallboardConfig)
def update_wallboard_config(caller: Caller, body: WallboardConfig) -> WallboardConfig:
    """Replace the wallboard's configuration. A crossed threshold is told as `wallboard.alert`,
    `raised` and later `cleared`."""
    return service.configure(caller, caller.tenant_id, body)


def queue_details(found: Board) -> list[dict[str, Any]]:
    """What `QueueDetail` shows of each queue."""
    return [_named(each) | _detail(each) for each in found.queues]


def _frame(found: Board, queues: list[dict[str, Any]]) -> dict[str, Any]:
    return {"queues": queues, "since": found.start, "at": found.at}


def _named(figures: Figures) -> dict[str, Any]:
    assert figures.queue is not None
    return figures.view() | {"id": figures.queue.id, "name": figures.queue.name}


def _detail(figures: Figures) -> dict[str, Any]:
    agents = {status: figures.agents.get(status, 0) for status in AgentStatus}
    return figures.view() | {
        "talking": figures.talking,
        "agents": agents,
        "counts": dict(figures.counts),
        "service_level_formula": figures.formula,
    }
