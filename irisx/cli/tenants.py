"""irisx tenant"""

import click

from irisx.cli.output import MOST_ROWS, Id, table
from irisx.tenancy import tenants
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant, TenantStatus


@click.group()
def tenant() -> None:
    """The platform's customers."""


@tenant.command()
@click.argument("name")
def create(name: str) -> None:
    """Add a tenant."""
    click.echo(tenants.create(SYSTEM, name=name).public_id)


@tenant.command("list")
def list_() -> None:
    """Show all tenants."""
    rows, _ = tenants.list_page(limit=MOST_ROWS, offset=0)
    table(("id", "status", "name"), ((row.public_id, row.status, row.name) for row in rows))


@tenant.command()
@click.argument("tenant_id", type=Id(Tenant.PREFIX))
def suspend(tenant_id: int) -> None:
    """Refuse all that a tenant asks for, until it is activated."""
    tenants.set_status(SYSTEM, tenant_id, TenantStatus.SUSPENDED)


@tenant.command()
@click.argument("tenant_id", type=Id(Tenant.PREFIX))
def activate(tenant_id: int) -> None:
    """Lift a suspension."""
    tenants.set_status(SYSTEM, tenant_id, TenantStatus.ACTIVE)
