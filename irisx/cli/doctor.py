"""irisx doctor: is each part well, and what to do if not."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg2
import requests
from redis import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from irisx import migrations
from irisx.intelligence.knowledge.search import has_pgvector
from irisx.kernel import db
from irisx.kernel.health import PARTS, readiness
from irisx.kernel.redis import redis
from irisx.settings import SettingMissing, Settings, get_settings
from irisx.telephony import provisioning
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api
from irisx.telephony.esl.connection import Address
from irisx.telephony.esl.errors import EslError
from irisx.telephony.esl.session import Session

_OLDEST_POSTGRES = 150_000
_VECTOR_INSTALLED = text("SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'vector'")
_LEAST_FREE_BYTES = 1_000_000_000
_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """What a check found. `fix` is empty when all is well."""

    subject: str
    state: str
    fix: str = ""


@click.command()
def doctor() -> None:
    """Check each part and name the fix of what is wrong. Exit status 1 if anything is."""
    findings = [finding for check in CHECKS for finding in check(get_settings())]
    for finding in findings:
        mark = "WRONG" if finding.fix else "ok"
        click.echo(f"{mark:6}{finding.subject:26}{finding.state}")
        if finding.fix:
            click.echo(f"{'':32}fix: {finding.fix}")
    if any(finding.fix for finding in findings):
        raise SystemExit(1)


def _database(_settings: Settings) -> Iterator[Finding]:
    try:
        with db.transaction() as session:
            version = int(session.execute(text("SHOW server_version_num")).scalar_one())
            compares = has_pgvector(session)
            installed = session.execute(_VECTOR_INSTALLED).scalar_one()
        missing = migrations.pending(db.engine())
    except (SQLAlchemyError, psycopg2.Error, SettingMissing) as error:
        state = str(getattr(error, "orig", error)).splitlines()[0]
        yield Finding("database", state, "start `irisx up`, or set IRISX_DATABASE_URL")
        return
    shown = f"PostgreSQL {version // 10_000}"
    old = "" if version >= _OLDEST_POSTGRES else "IRISX needs PostgreSQL 15 or newer"
    yield Finding("database", shown, old)
    if missing:
        yield Finding("migrations", f"{', '.join(missing)} missing", "irisx db upgrade")
    else:
        yield Finding("migrations", "up to date")
    if compares:
        yield Finding("pgvector", "knowledge is searched by words and by meaning")
    else:
        create = "CREATE EXTENSION vector; in IRISX's database, as a superuser"
        fix = create if installed else f"install pgvector beside PostgreSQL, then {create}"
        yield Finding("pgvector", "missing: knowledge is searched by words only", fix)


def _redis(_settings: Settings) -> Iterator[Finding]:
    try:
        redis().ping()
    except (RedisError, SettingMissing) as error:
        yield Finding("redis", str(error), "start `irisx up`, or set IRISX_REDIS_URL")
    else:
        yield Finding("redis", "answers")


def _switches(settings: Settings) -> Iterator[Finding]:
    for url in filter(None, (settings.esl_url or "").split(",")):
        yield from _switch(url.strip(), "IRISX_ESL_URL", provisioned=True)
    if settings.sandbox_esl_url:
        yield from _switch(settings.sandbox_esl_url, "IRISX_SANDBOX_ESL_URL", provisioned=False)


def _switch(url: str, setting: str, *, provisioned: bool) -> Iterator[Finding]:
    """One node. `provisioned`: it is a FreeSWITCH, which reads carriers and agents from us."""
    try:
        address = Address.parse(url)
    except ValueError as error:
        yield Finding("switch", f"{setting}: {error}", f"set {setting}")
        return
    subject = f"switch {address}"
    try:
        version, expansion, addresses = _ask(
            address,
            commands.version(),
            commands.api_expansion(),
            Api(provisioning.ADDRESSES_QUERY),
        )
    except EslError as error:
        yield Finding(
            subject, str(error), f"start it, or correct host, port and password in {setting}"
        )
        return
    yield Finding(subject, version.partition("\n")[0][:60])
    if "off" not in expansion.lower() and "false" not in expansion.lower():
        yield Finding(
            subject,
            "api-expansion is on: what a caller types could run commands",
            'set <param name="api-expansion" value="false"/> in switch.conf.xml, restart it',
        )
    if provisioned and not provisioning.addresses_are_served(addresses):
        yield Finding(
            subject,
            "does not get carriers and agents from the API (mod_xml_curl)",
            "give FreeSWITCH the IRISX_XML_TOKEN and IRISX_API_URL of this installation",
        )


def _ask(address: Address, *apis: Api) -> list[str]:
    session = Session(address.host, address.port, address.password, lambda _event: None, _SECONDS)
    session.connect()
    try:
        return [
            frame.text for frame in session.exchange([api.foreground for api in apis], _SECONDS)
        ]
    finally:
        session.close("done")


def _parts(_settings: Settings) -> Iterator[Finding]:
    for part in PARTS:
        said = readiness(part)
        if said is not None and said.alive:
            yield Finding(part, f"alive (process {said.pid})")
        else:
            state = "never started on this home" if said is None else "does not run, or hangs"
            yield Finding(part, state, f"irisx {part}, or irisx up; see its log")


def _api(settings: Settings) -> Iterator[Finding]:
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104
    url = f"http://{host}:{settings.port}/health"
    try:
        answer = requests.get(url, timeout=_SECONDS)
    except requests.RequestException as error:
        yield Finding("api /health", f"{url}: {type(error).__name__}", "start it: irisx api")
        return
    fix = "" if answer.ok else "see what it names"
    yield Finding("api /health", f"{url}: {answer.status_code}", fix)


def _directories(settings: Settings) -> Iterator[Finding]:
    for subject, path in (("home", settings.home), ("recordings", settings.recording_path)):
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            yield Finding(subject, f"{path}: {error.strerror}", "let IRISX write there")
            continue
        free = shutil.disk_usage(path).free
        fix = "" if free >= _LEAST_FREE_BYTES else "free some space: calls are recorded here"
        yield Finding(subject, f"{path}, {free / 1e9:.1f} GB free", fix)


def _taps(settings: Settings) -> Iterator[Finding]:
    path = settings.taps_path
    kind = _file_system(path)
    fix = "" if kind == "tmpfs" else "set IRISX_TAPS_DIR to a directory on tmpfs"
    yield Finding("taps", f"{path} on {kind}", fix)


def _file_system(path: Path) -> str:
    """The type of the file system that a path is (or would be) on, after /proc/self/mounts."""
    resolved = path.resolve()
    best, kind = "", "unknown"
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, mount, found, *_rest = line.split()
        if len(mount) >= len(best) and resolved.is_relative_to(mount):
            best, kind = mount, found
    return kind


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _database,
    _redis,
    _switches,
    _parts,
    _api,
    _directories,
    _taps,
)
