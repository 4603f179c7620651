"""SIGKILL of the API and of workers during messages and webhook deliveries: lost, doubled, and why.

Clients post messages with an Idempotency-Key each and repeat what was not answered, as ours does
to everybody. Two workers hand them to a local provider (Twilio's API) and deliver the events of
their statuses to a local webhook. The API and both workers are killed again and again. At the end
each message and each delivery is accounted for: what the provider and the webhook wrote down
against the rows. Leases are shortened to 5 s, so that this takes minutes.

    python -m scripts.bench.messaging_kills [messages]
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from sqlalchemy import func, select

from irisx import migrations
from irisx.api import server
from irisx.integration.webhooks import delivery, services
from irisx.integration.webhooks.models import DeliveryStatus, WebhookAttempt, WebhookDelivery
from irisx.kernel import db, http, logging
from irisx.kernel.embedded import databases
from irisx.kernel.jobs import Job, Runner
from irisx.messaging import accounts, claiming
from irisx.messaging.models import Message
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import sid_of
from irisx.tenancy import api_keys, numbers, tenants
from irisx.tenancy.access import SYSTEM
from scripts.bench.messaging_pipeline import provider, until_done, waiting
from tests.switches import free_ports

LEASE = timedelta(seconds=5)
CLIENTS = 20
#: Each message ends in one of these events.
EVENTS = ("sms.sent", "sms.unknown", "sms.failed")


def hook(port_file: str, log_file: str) -> None:
    """The process that is the tenant's webhook: it writes down the id of every delivery."""
    log = Path(log_file).open("a", buffering=1)  # noqa: SIM115 - as long as the process

    def answer(environ, start_response):  # type: ignore[no-untyped-def]
        log.write(f"{environ['HTTP_WEBHOOK_ID']}\n")
        gevent.sleep(0.02)
        start_response("204 No Content", [])
        return [b""]

    listener = WSGIServer(("127.0.0.1", 0), answer, log=None, error_log=None, backlog=1000)
    listener.start()
    Path(port_file).write_text(str(listener.server_port))
    listener.serve_forever()


def worker() -> None:
    """A worker process that sends messages and delivers webhooks."""
    claiming.LEASE = delivery.LEASE = LEASE
    logging.setup("worker")
    fan_out = Job("webhooks.fan_out", delivery.fan_out, 1.0, topic="events")
    Runner([Sender().job, fan_out, delivery.Dispatcher().job]).run()


class Killed:
    """A process that is killed now and then, and started again."""

    def __init__(self, *arguments: str) -> None:
        self.arguments, self.kills = arguments, 0
        self._process = self._started()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.kills += 1
        self._process = self._started()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", __spec__.name, *self.arguments])


def post(url: str, key: str, number: int) -> int:
    """Post one message until it is accepted; how often it took."""
    body = {"to": f"+1555{number:07}", "body": "Hello"}
    headers = {
        "X-API-Key": key,
        "Content-Type": "application/json",
        "Idempotency-Key": f"bench-{number}",
    }
    tries = 0
    while True:
        tries += 1
        try:
            reply = http.request(
                "POST", f"{url}/v1/sms", headers=headers, body=json.dumps(body).encode()
            )
        except http.HttpFailure:
            gevent.sleep(0.5)
            continue
        if reply.status == 201:
            return tries
        if reply.status < 500 and reply.status != 409:  # 409: the first try is under way
            raise SystemExit(f"{reply.status}: {reply.body!r}")
        gevent.sleep(0.5)


def is_up(url: str) -> bool:
    try:
        return http.request("GET", f"{url}/livez").status == 200
    except http.HttpFailure:
        return False


def undelivered() -> int:
    """Deliveries that are pending, and events that are not fanned out yet."""
    pending = select(func.count()).where(WebhookDelivery.status == DeliveryStatus.PENDING)
    with db.transaction() as session:
        return session.scalar(pending) or 0


def delivered() -> int:
    with db.transaction() as session:
        return session.scalar(select(func.count(WebhookDelivery.id))) or 0


def under_kills(url: str, key: str, count: int) -> Counter[str]:
    """Post all messages while parts are killed, until everything is sent and delivered."""
    parts = [Killed("api"), Killed("worker"), Killed("worker")]
    repeated = 0
    try:

        def killing() -> None:
            while True:
                until_done("the API", lambda: is_up(url))
                gevent.sleep(random.uniform(3.0, 6.0))
                random.choice(parts).kill()

        killer = gevent.spawn(killing)
        pool = Pool(CLIENTS)
        posting = [pool.spawn(post, url, key, number) for number in range(count)]
        gevent.joinall(posting, raise_error=True)
        repeated = sum(job.value > 1 for job in posting)
        until_done("under kills", lambda: delivered() >= count * 0.95)
        killer.kill()
        until_done("the rest", lambda: not waiting() and delivered() >= count and not undelivered())
    finally:
        for part in parts:
            part.stop()
    kills = Counter({"api": parts[0].kills, "worker": parts[1].kills + parts[2].kills})
    print(f"SIGKILLs: API {kills['api']}, workers {kills['worker']}; posts repeated: {repeated}")
    return kills


def account_for(tenant_id: int, handed: Counter[str], hooked: Counter[str], count: int) -> None:
    with db.transaction() as session:
        messages = session.scalars(select(Message).filter_by(tenant_id=tenant_id)).all()
        deliveries = session.scalars(select(WebhookDelivery)).all()
        settled = Counter(session.scalars(select(WebhookAttempt.delivery_id)))
    unknown = [m for m in messages if m.status is MessageStatus.UNKNOWN]
    lost = [m for m in messages if not handed[sid_of(m)] and m.status is not MessageStatus.UNKNOWN]
    doubled = [m for m in messages if handed[sid_of(m)] > 1]
    statuses = Counter(m.status for m in messages)
    shown = ", ".join(f"{status} {number}" for status, number in sorted(statuses.items()))
    there = sum(bool(handed[sid_of(m)]) for m in unknown)
    print(f"messages: {len(messages)} of {count} posted: {shown}")
    print(f"  lost {len(lost)}, handed over twice {len(doubled)}")
    print(f"  unknown {len(unknown)}: the provider had {there}, not {len(unknown) - there}")
    by_event = {f"evt_{each.event_id}": each for each in deliveries}
    missing = [event for event in by_event if not hooked[event]]
    twice = [event for event in by_event if hooked[event] > 1]
    extra = sum(hooked[event] - 1 for event in twice)
    unsettled = sum(hooked[event] > settled[by_event[event].id] for event in twice)
    print(f"webhook deliveries: {len(deliveries)}, received {sum(hooked.values())}")
    print(f"  lost {len(missing)}; received again {extra} (of {len(twice)} events)")
    print(f"  of these events {unsettled} have an attempt whose answer its worker never wrote down")
    if lost or doubled or missing or len(messages) != count:
        raise SystemExit("something was lost or doubled")


def main() -> None:
    match sys.argv[1:]:
        case ["provider", port_file, log_file]:
            provider(port_file, log_file)
        case ["hook", port_file, log_file]:
            hook(port_file, log_file)
        case ["worker"]:
            worker()
        case ["api"]:
            logging.setup("api")
            server.main()
        case given:
            measure(*(int(text) for text in given))


def measure(count: int = 5000) -> None:
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="irisx-bench-")))
        urls = stack.enter_context(databases(home))
        (port,) = free_ports(1)
        os.environ |= {
            "IRISX_HOME": str(home),
            "IRISX_LOG_DIR": f"{home}/logs",
            "IRISX_DATABASE_URL": urls.database,
            "IRISX_REDIS_URL": urls.redis,
            "IRISX_SECRET_KEY": "only for this measurement, 32 characters",
            "IRISX_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            "IRISX_PORT": str(port),
        }
        logging.setup("bench")
        migrations.upgrade(db.engine())
        ports = {}
        for part in ("provider", "hook"):
            (home / part).touch()
            stack.callback(Killed(part, str(home / f"{part}.port"), str(home / part)).stop)
            until_done(part, (home / f"{part}.port").exists)
            gevent.sleep(0.2)
            ports[part] = (home / f"{part}.port").read_text()
        tenant = tenants.create(SYSTEM, name="Bench")
        numbers.add(SYSTEM, tenant_id=tenant.id, number="+15550001000")
        accounts.create(
            SYSTEM,
            tenant.id,
            channel="sms",
            provider="twilio",
            name="Local",
            settings={"account_sid": "AC1", "base_url": f"http://127.0.0.1:{ports['provider']}"},
            credentials={"auth_token": "only for this measurement"},
        )
        where = f"http://127.0.0.1:{ports['hook']}/"
        services.create(SYSTEM, tenant.id, url=where, events=list(EVENTS))
        key = api_keys.create(
            SYSTEM, tenant.id, name="bench", permissions=["*"], rate_limit=1_000_000
        )
        under_kills(f"http://127.0.0.1:{port}", key.secret, count)
        handed = Counter((home / "provider").read_text().splitlines())
        hooked = Counter((home / "hook").read_text().splitlines())
        account_for(tenant.id, handed, hooked, count)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        db.engine().dispose()


if __name__ == "__main__":
    main()
