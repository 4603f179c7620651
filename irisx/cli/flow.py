"""irisx flow"""

import difflib
import json
import re
from pathlib import Path
from typing import Any

import click

from irisx.cli.output import MOST_ROWS, Id, table, tenant_option
from irisx.kernel.ids import row_key
from irisx.telephony.ivr import service
from irisx.telephony.ivr.form import read
from irisx.telephony.ivr.issues import Issue, Severity
from irisx.telephony.ivr.models import IvrFlow
from irisx.telephony.ivr.simulator import Visited
from irisx.tenancy.access import SYSTEM

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_STORED = re.compile(r"(flow_[0-9]+)(?:@([0-9]{1,9}))?")
_SOURCE = "A file, flow_3, or flow_3@2 for its version 2."


@click.group()
def flow() -> None:
    """IVR flows. SOURCE is a file, flow_3, or flow_3@2 for version 2 of it."""


@flow.command("list")
@tenant_option
def list_(tenant_id: int) -> None:
    """Show the tenant's flows."""
    views, _ = service.list_page(tenant_id, limit=MOST_ROWS, offset=0)
    rows = [(v.flow.public_id, v.flow.name, v.flow.latest, v.flow.published) for v in views]
    table(("id", "name", "newest", "published"), rows)


@flow.command()
@click.argument("source")
@tenant_option
def lint(tenant_id: int, source: str) -> None:
    """Tell what is wrong with a flow; exits with 1 if it can't be published."""
    stored = _STORED.fullmatch(source)
    flow_id = row_key(IvrFlow.PREFIX, stored[1]) if stored else None
    report = service.lint(tenant_id, _document(tenant_id, source), flow_id)
    for issue in report.issues:
        click.echo(_line(issue))
    if report.errors:
        raise SystemExit(1)
    click.echo("It can be published.")


@flow.command()
@click.argument("source")
@click.option("--digits", multiple=True, help="What is typed at each question; '' is nothing.")
@click.option("--caller", metavar="+E164", help="The caller's number.")
@click.option("--time", metavar="ISO8601", help="When the call comes.")
@click.option("--script", "script_file", type=_FILE, help="JSON as the API takes it.")
@tenant_option
def simulate(
    tenant_id: int,
    source: str,
    digits: tuple[str, ...],
    caller: str | None,
    time: str | None,
    script_file: Path | None,
) -> None:
    """Run a flow without a call and show its path."""
    options = {"digits": list(digits) or None, "caller": caller, "time": time}
    overruled = {name: value for name, value in options.items() if value is not None}
    script = service.read_script(_json(script_file) if script_file is not None else {})
    script = service.read_script(script.model_dump(by_alias=True, mode="json") | overruled)
    parsed, issues = read(_document(tenant_id, source))
    if parsed is None:
        raise click.ClickException("\n".join(map(_line, issues)))
    result = service.run(tenant_id, parsed, script)
    for step in result.steps:
        click.echo(f"{step.at:%H:%M:%S}  {step.node} ({step.type}) → {step.outcome or '…'}")
        for line in _details(step):
            click.echo(f"          {line}")
    click.echo(f"{result.cause} after {result.seconds:.0f} s")


@flow.command("import")
@click.argument("file", type=_FILE)
@click.option("--flow", "flow_id", type=Id(IvrFlow.PREFIX), help="Make it a version of this flow.")
@click.option("--publish", is_flag=True, help="New calls get it at once.")
@tenant_option
def import_(tenant_id: int, file: Path, flow_id: int | None, publish: bool) -> None:
    """Store a file as a new flow, or as a new version of one."""
    document = _json(file)
    if flow_id is None:
        view = service.create(SYSTEM, tenant_id, document, publish=publish)
    else:
        view = service.update(SYSTEM, tenant_id, flow_id, document, publish=publish)
    click.echo(f"{view.flow.public_id}@{view.version.number} {view.version.status}")


@flow.command()
@click.argument("flow_id", type=Id(IvrFlow.PREFIX))
@click.option("--version", "number", type=click.IntRange(1, 2**31 - 1), help="Default: the newest.")
@tenant_option
def publish(tenant_id: int, flow_id: int, number: int | None) -> None:
    """Put a version to use for new calls, if it is sound and passes its tests."""
    view = service.publish(SYSTEM, tenant_id, flow_id, number)
    click.echo(f"{view.flow.public_id}@{view.version.number} {view.version.status}")


@flow.command()
@click.argument("source")
@tenant_option
def export(tenant_id: int, source: str) -> None:
    """Print a flow's JSON."""
    click.echo(_text(_document(tenant_id, source)), nl=False)


@flow.command()
@click.argument("old")
@click.argument("new")
@tenant_option
def diff(tenant_id: int, old: str, new: str) -> None:
    """Show what differs between two flows; exits with 1 if something does."""
    before, after = (_text(_document(tenant_id, name)).splitlines() for name in (old, new))
    lines = list(difflib.unified_diff(before, after, old, new, lineterm=""))
    click.echo("\n".join(lines), nl=bool(lines))
    raise SystemExit(1 if lines else 0)


def _document(tenant_id: int, source: str) -> Any:
    stored = _STORED.fullmatch(source)
    if stored is None:
        return _json(Path(source))
    number = int(stored[2]) if stored[2] else None
    flow_id = row_key(IvrFlow.PREFIX, stored[1])
    return service.get(tenant_id, flow_id, number=number).version.document


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}. {_SOURCE}") from None
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"{file} is no JSON: {error}") from None


def _text(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _line(issue: Issue) -> str:
    mark = "✗" if issue.severity is Severity.ERROR else "!"
    return f"{mark} {issue.message} [{issue.code}]"


def _details(step: Visited) -> list[str]:
    heard = [next(str(v) for k, v in item.items() if k != "voice") for item in step.heard]
    did = [json.dumps(action, ensure_ascii=False, default=str) for action in step.did]
    changed = [f"{name} = {value!r}" for name, value in step.changed.items()]
    return [f"“{text}”" for text in heard] + step.reasons + did + changed
