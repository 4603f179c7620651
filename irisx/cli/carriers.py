"""irisx carrier"""

from decimal import Decimal
from typing import Any

import click

from irisx.cli.output import MOST_ROWS, Id, table
from irisx.tenancy import carriers
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Carrier


@click.group()
def carrier() -> None:
    """SIP trunks."""


@carrier.command()
@click.argument("name")
@click.argument("host")
@click.option("--port", type=click.IntRange(1, 65535), default=5060, show_default=True)
@click.option(
    "--transport", type=click.Choice(["udp", "tcp", "tls"]), default="udp", show_default=True
)
@click.option("--username")
@click.option("--password", help="Asked for if --username is given without it.")
@click.option("--register", is_flag=True, help="Register with the carrier.")
@click.option(
    "--prefix", "prefixes", multiple=True, help="Digits without +; may be repeated. Default: all."
)
@click.option("--priority", type=int, default=100, show_default=True, help="Lower comes first.")
@click.option("--cost", type=Decimal, default="0", help="A minute's; decides between equals.")
@click.option("--max-cps", type=click.IntRange(min=1), help="Calls started a second.")
@click.option("--max-concurrent", type=click.IntRange(min=1), help="Calls at one time.")
@click.option("--sandbox", is_flag=True, help="A carrier of the sandbox switch.")
def add(prefixes: tuple[str, ...], **fields: Any) -> None:
    """Add a trunk; calls use it at once."""
    if fields["username"] and not fields["password"]:
        fields["password"] = click.prompt("Password", hide_input=True)
    row = carriers.create(SYSTEM, prefixes=list(prefixes) or [""], **fields)
    click.echo(row.public_id)


@carrier.command("list")
def list_() -> None:
    """Show all trunks."""
    rows, _ = carriers.list_page(limit=MOST_ROWS, offset=0)
    table(("id", "name", "address", "prefixes", "priority", "state"), map(_columns, rows))


@carrier.command()
@click.argument("carrier_id", type=Id(Carrier.PREFIX))
def remove(carrier_id: int) -> None:
    """Remove a trunk; its calls go on."""
    carriers.delete(SYSTEM, carrier_id)


def _columns(row: Carrier) -> tuple[object, ...]:
    prefixes = ",".join(row.prefixes) or "all"
    state = ("enabled" if row.enabled else "disabled") + (", sandbox" if row.sandbox else "")
    address = f"{row.host}:{row.port}/{row.transport}"
    return row.public_id, row.name, address, prefixes, row.priority, state
