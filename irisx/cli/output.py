"""How commands show rows, and how they take what they are given."""

from collections.abc import Iterable, Sequence

import click
from pydantic import TypeAdapter, ValidationError

from irisx.kernel.ids import row_key
from irisx.tenancy.models import Tenant
from irisx.tenancy.settings import E164

#: A list of the command line is whole; who has more rows uses the API.
MOST_ROWS = 10_000


class Id(click.ParamType[int]):
    """A public id (`ten_1`); the command gets its row key."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.name = f"{prefix}_…"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return row_key(self._prefix, value)


class Number(click.ParamType[str]):
    """A phone number in E.164."""

    name = "+E164"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return TypeAdapter(E164).validate_python(value)
        except ValidationError:
            self.fail(f"{value!r} is no E.164 number such as +15555551234", param, ctx)


tenant_option = click.option(
    "--tenant", "tenant_id", type=Id(Tenant.PREFIX), default="ten_1", show_default=True
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns as wide as their content."""
    lines = [[("-" if cell is None else str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())
