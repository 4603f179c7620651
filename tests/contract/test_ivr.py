"""Calls in IVR flows: every node type and its branches, digits as callers send them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import soundfile
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.settings import get_settings
from irisx.telephony.ivr import visits
from irisx.telephony.ivr.models import IvrFlow, IvrFlowVersion, VersionStatus
from irisx.telephony.ivr.visit_models import Message, Visit
from tests.contract.rig import ALSO_STAYS, ANSWERS, BUSY, REJECTS, RINGS, Line, Rig
from tests.waiting import wait_until

CALLED = "+15550002000"


def silence(milliseconds: int) -> dict[str, Any]:
    return {"silence_ms": milliseconds}


def node(id: str, type: str, config: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "config": config or {}, **more}


def pause(id: str, milliseconds: int, next: str | None = None) -> dict[str, Any]:
    """A `play` of so much silence that no digit stops."""
    config = {"prompts": [silence(milliseconds)], "barge_in": False}
    return node(id, "play", config, next=next)


def publish(line: Line, *nodes: dict[str, Any], **more: Any) -> str:
    """A flow of the tenant, as publishing leaves it; its id."""
    document = {"name": "test", "entry_point": nodes[0]["id"], "nodes": list(nodes), **more}
    with transaction() as session:
        flow = IvrFlow(tenant_id=line.tenant.id, name="test", latest=1, published=1)
        session.add(flow)
        session.flush()
        session.add(
            IvrFlowVersion(
                flow_id=flow.id,
                tenant_id=line.tenant.id,
                number=1,
                status=VersionStatus.PUBLISHED,
                document=document,
                uses=[],
                author="system",
            )
        )
    return flow.public_id


def call_in(line: Line, *nodes: dict[str, Any], digits: str = "", hold_ms: int = 8000) -> UUID:
    """Somebody calls a number that leads to a flow of these nodes; the call's id."""
    flow = publish(line, *nodes)
    line.destination(CALLED, {"type": "flow", "id": flow})
    line.call_in(CALLED, hold_ms=hold_ms, digits=digits)
    return wait_until(lambda: next(iter(line.rows()), None)).id


def path(call_id: UUID) -> list[tuple[str, str]]:
    """The nodes that a call passed, each with its outcome."""
    assert visits.flush(5)
    with transaction() as session:
        rows = session.scalars(
            select(Visit).where(Visit.call_id == call_id).order_by(Visit.step, Visit.left_at)
        ).all()
    return [(row.node, row.outcome) for row in rows]


def ended(line: Line, call_id: UUID, timeout: float = 20) -> list[tuple[str, str]]:
    line.wait_status(call_id, "completed", timeout=timeout)
    return path(call_id)


def test_prompts_are_played_and_the_flow_hangs_up(line: Rig) -> None:
    call_id = call_in(line, pause("a", 400, "b"), pause("b", 600))
    assert ended(line, call_id) == [("a", "next"), ("b", "next")]
    call = line.row(call_id)
    assert call.hangup_by != "caller"
    assert call.duration_ms is not None and 950 < call.duration_ms < 3000


def test_digits_choose_a_branch(line: Rig) -> None:
    gather = node(
        "ask",
        "gather",
        {"max_digits": 4, "timeout": 5, "prompts": [silence(200)]},
        branches={"159": "right", "timeout": "wrong"},
    )
    call_id = call_in(line, gather, pause("right", 20), pause("wrong", 20), digits="159#")
    assert ended(line, call_id) == [("ask", "159"), ("right", "next")]
