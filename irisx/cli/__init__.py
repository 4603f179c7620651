"""The command line. A command's module is imported when the command is asked for, so that each
part of the process group loads its own rooms only."""

from pkgutil import resolve_name
from typing import Any

import click
from sqlalchemy.exc import OperationalError

from irisx.cli import installation
from irisx.kernel.errors import IrisxError
from irisx.settings import SettingMissing

_COMMANDS = {
    "up": "irisx.cli.up:up",
    "engine": "irisx.cli.parts:engine",
    "media": "irisx.cli.parts:media",
    "worker": "irisx.cli.parts:worker",
    "api": "irisx.cli.parts:api",
    "db": "irisx.cli.db:db",
    "tenant": "irisx.cli.tenants:tenant",
    "number": "irisx.cli.numbers:number",
    "flow": "irisx.cli.flow:flow",
    "carrier": "irisx.cli.carriers:carrier",
    "key": "irisx.cli.keys:key",
    "sip-account": "irisx.cli.sip_accounts:sip_account",
    "amd": "irisx.cli.amd:amd",
    "doctor": "irisx.cli.doctor:doctor",
    "settings": "irisx.cli.settings:settings",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        return resolve_name(target) if target else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IrisxError as error:
            faults = "".join(f"\n  {d['field']}: {d['message']}" for d in error.details)
            raise click.ClickException(error.message + faults) from None
        except SettingMissing as error:
            raise click.ClickException(f"{error}. Is `irisx up` running on this home?") from None
        except OperationalError as error:
            raise click.ClickException(f"The database does not answer: {error.orig}") from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def irisx(ctx: click.Context) -> None:
    """IRISX: telephony engine. `irisx up` starts everything."""
    if ctx.invoked_subcommand not in ("up", "settings"):
        installation.join()
