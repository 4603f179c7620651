"""irisx sip-account"""

import click

from irisx.cli.output import MOST_ROWS, Id, table, tenant_option
from irisx.tenancy import sip_accounts
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import SipAccount


@click.group("sip-account")
def sip_account() -> None:
    """What people's phones register with."""


@sip_account.command()
@click.argument("name")
@tenant_option
def add(name: str, tenant_id: int) -> None:
    """Generate a user name and a password; the password is shown this once."""
    issued = sip_accounts.create(SYSTEM, tenant_id, name=name)
    click.echo(f"id        {issued.row.public_id}")
    click.echo(f"username  {issued.row.username}")
    click.echo(f"password  {issued.password}")


@sip_account.command("list")
@tenant_option
def list_(tenant_id: int) -> None:
    """Show a tenant's accounts."""
    rows, _ = sip_accounts.list_page(tenant_id, limit=MOST_ROWS, offset=0)
    table(("id", "username", "name"), ((row.public_id, row.username, row.name) for row in rows))


@sip_account.command()
@click.argument("account_id", type=Id(SipAccount.PREFIX))
@tenant_option
def remove(account_id: int, tenant_id: int) -> None:
    """Remove an account; its phone can't register again."""
    sip_accounts.delete(SYSTEM, tenant_id, account_id)
