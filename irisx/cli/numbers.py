"""irisx number"""

import click

from irisx.cli.output import MOST_ROWS, Number, table, tenant_option
from irisx.kernel.ids import public_id
from irisx.telephony.calls import destinations
from irisx.tenancy import numbers
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant


@click.group()
def number() -> None:
    """Phone numbers (DIDs)."""


@number.command()
@click.argument("e164", type=Number())
@click.option("--name")
@click.option("--to-number", type=Number(), help="Where its calls go: another number.")
@click.option("--to-account", metavar="sip_…", help="Where its calls go: a SIP account.")
@click.option("--to-flow", metavar="flow_…", help="Where its calls go: a published flow.")
@tenant_option
def add(
    tenant_id: int,
    e164: str,
    name: str | None,
    to_number: str | None,
    to_account: str | None,
    to_flow: str | None,
) -> None:
    """Give a tenant a number."""
    destination = None
    if to_number:
        destination = {"type": "number", "to": to_number}
    elif to_account:
        destination = {"type": "agent", "id": to_account}
    elif to_flow:
        destination = {"type": "flow", "id": to_flow}
        destinations.resolve(destinations.parse(destination), tenant_id, "--to-flow")
    row = numbers.add(SYSTEM, tenant_id=tenant_id, number=e164, name=name, destination=destination)
    click.echo(row.public_id)


@number.command("list")
def list_() -> None:
    """Show the numbers of all tenants."""
    rows, _ = numbers.list_page(None, limit=MOST_ROWS, offset=0)
    table(("id", "number", "tenant", "name", "destination"), map(_columns, rows))


def _columns(row: PhoneNumber) -> tuple[object, ...]:
    owner = public_id(Tenant.PREFIX, row.tenant_id) if row.tenant_id else None
    target = row.destination or {}
    reaches = f"{target['type']} {target.get('to') or target.get('id')}" if target else None
    return row.public_id, row.number, owner, row.name, reaches
