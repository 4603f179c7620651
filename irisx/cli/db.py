"""irisx db: the schema of the database."""

import click

from irisx import migrations
from irisx.kernel.db import engine


@click.group()
def db() -> None:
    """The database's schema."""


@db.command()
def upgrade() -> None:
    """Bring the schema to this version of IRISX."""
    migrations.upgrade(engine())


@db.command()
def check() -> None:
    """Fail if the schema is not that of this version."""
    if missing := migrations.pending(engine()):
        raise click.ClickException(
            f"The database lacks {', '.join(missing)}. Fix: irisx db upgrade"
        )
    if migrations.drift(engine()):
        raise click.ClickException("The database's tables were changed by hand.")
    click.echo("The schema is up to date.")
