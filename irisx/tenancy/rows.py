"""How the services of this room fetch rows: by tenant and id together, and by pages."""

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from irisx.kernel.errors import NotFound
from irisx.tenancy.models import Noun

Model = TypeVar("Model", bound=Noun)


def fetch(
    session: Session, model: type[Model], row_id: int, *, tenant_id: int | None, lock: bool = False
) -> Model:
    """The row, which NotFound denies if it is another tenant's. `tenant_id` None: an admin asks."""
    query = select(model).where(model.id == row_id)
    if tenant_id is not None:
        query = query.filter_by(tenant_id=tenant_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"There is no {model.PREFIX} with this id.")
    return row


def page(
    session: Session, query: Select[Model], *, limit: int, offset: int
) -> tuple[Sequence[Model], int]:
    """Rows of a query, oldest first, and how many it has in all."""
    model: Any = query.column_descriptions[0]["entity"]
    rows = session.scalars(query.order_by(model.id).limit(limit).offset(offset)).all()
    return rows, session.scalar(select(func.count()).select_from(query.subquery())) or 0


def assign(row: Noun, fields: dict[str, Any]) -> None:
    """Set columns by name."""
    for name, value in fields.items():
        setattr(row, name, value)
