"""irisx key"""

import click

from irisx.cli.output import tenant_option
from irisx.tenancy import api_keys
from irisx.tenancy.access import ALL, SYSTEM


@click.group()
def key() -> None:
    """API keys."""


@key.command()
@click.argument("name")
@click.option("--permission", "permissions", multiple=True, help="calls:write, …; may be repeated.")
@click.option("--test", is_flag=True, help="A key that reaches the sandbox only.")
@tenant_option
def create(name: str, permissions: tuple[str, ...], test: bool, tenant_id: int) -> None:
    """Issue a key; it is shown this once. Without --permission it may do everything."""
    wanted = list(permissions) or [ALL]
    issued = api_keys.create(SYSTEM, tenant_id, name=name, permissions=wanted, test=test)
    click.echo(issued.secret)
