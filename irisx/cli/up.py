"""irisx up: everything in the foreground, ended together."""

import os
import secrets
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import click
import gevent
import requests
from gevent.event import Event

from irisx import migrations
from irisx.cli import installation
from irisx.cli.first_start import Credentials, ensure_credentials
from irisx.cli.supervisor import NotReady, Part, Supervisor
from irisx.kernel import logging, metrics
from irisx.kernel.db import engine
from irisx.kernel.embedded import EmbeddedError, HomeInUse, free_port, home_lock, postgres, valkey
from irisx.kernel.health import PARTS, readiness
from irisx.settings import get_settings
from irisx.tenancy import carriers

_READY_SECONDS = 60.0
# All must end within five seconds; the databases, which come last, take a fraction of one.
_PARTS_STOP_SECONDS = 2.0
_SWITCH_STOP_SECONDS = 0.5

log = logging.get_logger(__name__)


class CannotStart(RuntimeError):
    """Something of the machine or the settings is in the way; the message names the fix."""


@click.command()
def up() -> None:
    """Start everything and stay in the foreground.

    Without settings: a PostgreSQL, a Valkey and a switch of its own, under IRISX_HOME.
    """
    started = time.monotonic()
    _end_on_signals()
    home = get_settings().home.expanduser().resolve()
    try:
        installation.make_home(home)
        with ExitStack() as stack:
            stack.enter_context(home_lock(home))
            own_sandbox = get_settings().sandbox_esl_url is None
            _set_up(home, stack)
            switch, parts = Supervisor(), Supervisor()
            stack.callback(switch.stop, _SWITCH_STOP_SECONDS)  # after the parts, which use it
            stack.callback(parts.stop, _PARTS_STOP_SECONDS)
            if own_sandbox:
                switch.start(_sandbox())
            for name in PARTS:
                parts.start(_part(name))
            switch.wait_ready(_READY_SECONDS)
            parts.wait_ready(_READY_SECONDS)
            credentials = ensure_credentials()  # a first start's file says that all is there
            _show(credentials, time.monotonic() - started)
            Event().wait()
    except (HomeInUse, EmbeddedError, NotReady, CannotStart) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("IRISX has ended.")


def _end_on_signals() -> None:
    """The first Ctrl-C or SIGTERM ends the main greenlet; more of them change nothing."""
    main = gevent.getcurrent()
    ending = False

    def end() -> None:
        nonlocal ending
        if not ending:
            ending = True
            gevent.kill(main, KeyboardInterrupt)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        gevent.signal_handler(number, end)


def _set_up(home: Path, stack: ExitStack) -> None:
    """Databases, secrets and schema. What the parts need to know goes into the environment."""
    settings = get_settings()
    port = settings.port or free_port(settings.host)
    _require_free(settings.host, port)
    database = settings.database_url or stack.enter_context(postgres(home))
    redis = settings.redis_url or stack.enter_context(valkey(home))
    sandbox = f"esl://:{secrets.token_urlsafe(24)}@127.0.0.1:{free_port()}"
    published = installation.secret_settings(home) | {
        "IRISX_HOME": str(home),
        "IRISX_PORT": str(port),
        "IRISX_DATABASE_URL": database,
        "IRISX_REDIS_URL": redis,
        "IRISX_SANDBOX_ESL_URL": settings.sandbox_esl_url or sandbox,
        "IRISX_LOG_DIR": str(settings.log_dir or home / "log"),
    }
    os.environ.update(published)
    get_settings.cache_clear()
    logging.setup("up")
    metrics.clear(home)
    migrations.upgrade(engine())
    installation.publish(home, published)


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStart(
                f"Port {port} on {host} can't be used ({error.strerror}). "
                "End what listens there, or set IRISX_PORT to another port."
            ) from None


def _part(name: str) -> Part:
    def ready(pid: int) -> bool:
        said = readiness(name)
        return said is not None and said.pid == pid and (name != "api" or _api_answers())

    argv = [sys.executable, "-m", "irisx", name]
    return Part(name, argv, ready, spare=[*argv, "--spare"] if name == "engine" else None)


def _sandbox() -> Part:
    settings = get_settings()
    esl = urlsplit(settings.sandbox_esl_url or "")
    argv = [sys.executable, "-m", "irisx.sandbox", "--host", str(esl.hostname)]
    argv += ["--port", str(esl.port), "--password", esl.password or ""]
    argv += ["--recordings", str(settings.recording_path)]
    argv += ["--recordings", str(settings.taps_path)]
    if settings.sandbox_sip and _sip_is_free(settings.sandbox_sip):
        argv += ["--sip", settings.sandbox_sip]
    return Part("sandbox", argv, lambda _pid: _accepts(esl.hostname, esl.port), _log("sandbox"))


def _log(name: str) -> Path:
    directory = get_settings().log_dir
    assert directory is not None  # _set_up has set it
    return directory / f"{name}.log"


def _sip_is_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            log.warning(
                "the sandbox takes no SIP calls; set IRISX_SANDBOX_SIP to a free address",
                address=address,
                error=error.strerror,
            )
            return False
    return True


def _accepts(host: str | None, port: int | None) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _api_answers() -> bool:
    settings = get_settings()
    try:
        host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104
        return requests.get(f"http://{host}:{settings.port}/health", timeout=2).ok
    except requests.RequestException:
        return False


def _show(credentials: Credentials, seconds: float) -> None:
    settings = get_settings()
    switch, first = "sandbox (who answers at which number: README.md)", ""
    if settings.esl_url:
        nodes = [urlsplit(url.strip()) for url in settings.esl_url.split(",")]
        switch = "FreeSWITCH at " + ", ".join(f"{esl.hostname}:{esl.port}" for esl in nodes)
        if all(carrier.sandbox for carrier in carriers.list_enabled()):
            first = ", after a carrier was added (irisx carrier add NAME HOST)"
    click.echo(f"""
IRISX is ready ({seconds:.1f} s). Ctrl-C ends it.

  API          {credentials.api_url}
  docs         {credentials.api_url}/docs
  API key      {credentials.api_key}
  admin token  {credentials.admin_token}
  switch       {switch}
  kept in      {settings.home}/credentials.json

Place a call{first}:

  curl {credentials.api_url}/v1/calls -H 'X-API-Key: {credentials.api_key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"to": "+15555550100", "from": "{credentials.number}"}}'
""")
