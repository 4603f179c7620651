"""Messages a second from accepted to handed over, and what SIGKILL of workers costs.

A provider that speaks Twilio's API runs in a process of its own and writes down the sid of every
request. First the same HTTP calls are made in a bare loop (the same guarded client, as many at a
time), then messages are accepted in bulk while one worker process sends. Then two workers send
while one after the other is killed; at the end every message is accounted for: handed over once,
handed over twice, or lost. Leases are shortened to 5 s, so that this takes seconds.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from sqlalchemy import func, select

from irisx import migrations
from irisx.kernel import db, http, logging
from irisx.kernel.embedded import databases
from irisx.kernel.jobs import Runner
from irisx.messaging import accounts, claiming
from irisx.messaging.channels.sms import service
from irisx.messaging.channels.sms.service import Text
from irisx.messaging.claiming import MAX_PER_LANE
from irisx.messaging.models import Message, QueueEntry
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from irisx.messaging.statuses import sid_of
from irisx.tenancy import numbers, tenants
from irisx.tenancy.access import SYSTEM, Caller

BULK = 500
LEASE = timedelta(seconds=5)
ANSWERS_AFTER_SECONDS = 0.02
TIMEOUT_SECONDS = 900.0


def provider(port_file: str, log_file: str) -> None:
    """The process that speaks Twilio's API and writes down what it was sent."""
    log = Path(log_file).open("a", buffering=1)  # noqa: SIM115 - as long as the process

    def answer(environ, start_response):  # type: ignore[no-untyped-def]
        form = parse_qs(environ["wsgi.input"].read().decode())
        sid = form["StatusCallback"][0].partition("sid=")[2]
        log.write(f"{sid}\n")
        gevent.sleep(ANSWERS_AFTER_SECONDS)
        start_response("201 Created", [("Content-Type", "application/json")])
        return [b'{"sid": "there-' + sid.encode() + b'"}']

    server = WSGIServer(("127.0.0.1", 0), answer, log=None, error_log=None, backlog=1000)
    server.start()
    Path(port_file).write_text(str(server.server_port))
    server.serve_forever()


def worker() -> None:
    """A worker process that sends."""
    claiming.LEASE = LEASE
    logging.setup("worker")
    Runner([Sender().job]).run()


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", __spec__.name, *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def bare_loop(url: str, count: int) -> float:
    """Messages a second of the same requests and nothing else."""

    def post(number: int) -> None:
        form = {
            "To": f"+1555555{number:04}",
            "From": "+15550001000",
            "StatusCallback": f"http://127.0.0.1:3000/webhooks/sms/in_x?sid=bare{number}",
            "Body": "Hello",
        }
        reply = http.request(
            "POST",
            f"{url}/2010-04-01/Accounts/AC1/Messages.json",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )
        assert reply.status == 201

    pool = Pool(MAX_PER_LANE)
    began = time.perf_counter()
    pool.map(post, range(count))
    return count / (time.perf_counter() - began)


def accept(tenant_id: int, count: int, offset: int) -> None:
    caller = Caller(name="bench", tenant_id=tenant_id, permissions=frozenset({"*"}))
    for start in range(0, count, BULK):
        batch = range(offset + start, offset + min(start + BULK, count))
        recipients = [f"+1555{number:07}" for number in batch]
        results = service.send_bulk(caller, recipients, Text(body="Hello"))
        assert all(result.message is not None for result in results)


def lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if not line.startswith("bare")]


def until_done(what: str, done: object, seconds: float = TIMEOUT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not done within {seconds:g} s")
        gevent.sleep(0.05)


def waiting() -> int:
    with db.transaction() as session:
        return session.scalar(select(func.count(QueueEntry.message_id))) or 0


def throughput(tenant_id: int, url: str, log: Path, count: int) -> None:
    bare = bare_loop(url, count)
    with child("worker"):
        gevent.sleep(3)
        began = time.perf_counter()
        accept(tenant_id, count, 0)
        accepted = time.perf_counter() - began
        until_done("sending", lambda: len(lines(log)) >= count)
        ours = count / (time.perf_counter() - began)
        until_done("settling", lambda: not waiting())
    print(
        f"{count} messages: accepted {count / accepted:.0f} a second; from accepted to handed over "
        f"{ours:.0f} a second by one worker; bare loop of the calls {bare:.0f} a second: "
        f"{ours / bare:.2f} ×"
    )


def killed(tenant_id: int, log: Path, count: int) -> None:
    before = len(lines(log))
    workers = [subprocess.Popen([sys.executable, "-m", __spec__.name, "worker"]) for _ in range(2)]
    kills = 0
    try:
        accept(tenant_id, count, 1_000_000)

        def kill_one() -> bool:
            nonlocal kills
            if not waiting():
                return True
            if len(lines(log)) - before < count * 0.95:
                gevent.sleep(random.uniform(1.5, 3.0))
                victim = random.randrange(2)
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                kills += 1
                workers[victim] = subprocess.Popen([sys.executable, "-m", __spec__.name, "worker"])
            return False

        until_done("sending under kills", kill_one)
    finally:
        for process in workers:
            process.kill()
            process.wait()
    account_for(tenant_id, log, count, kills)


def account_for(tenant_id: int, log: Path, count: int, kills: int) -> None:
    handed = Counter(lines(log))
    with db.transaction() as session:
        mine = select(Message).where(
            Message.tenant_id == tenant_id, Message.to_address >= "+15551000000"
        )
        messages = session.scalars(mine).all()
    statuses = Counter(message.status for message in messages)
    lost = [m for m in messages if not handed[sid_of(m)] and m.status is not MessageStatus.UNKNOWN]
    doubled = [m for m in messages if handed[sid_of(m)] > 1]
    unknown = [m for m in messages if m.status is MessageStatus.UNKNOWN]
    there = sum(bool(handed[sid_of(m)]) for m in unknown)
    shown = ", ".join(f"{status} {number}" for status, number in sorted(statuses.items()))
    print(f"{kills} SIGKILLs during {count} messages: {shown}")
    print(f"lost {len(lost)}, handed over twice {len(doubled)}")
    print(f"unknown {len(unknown)}: the provider had {there} of them, {len(unknown) - there} not")
    if lost or doubled or len(messages) != count:
        raise SystemExit("messages were lost or doubled")


def main() -> None:
    if sys.argv[1:2] == ["provider"]:
        provider(*sys.argv[2:4])
    elif sys.argv[1:2] == ["worker"]:
        worker()
    else:
        measure(*(int(text) for text in sys.argv[1:3]))


def measure(count: int = 3000, under_kills: int = 5000) -> None:
    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as home, databases(Path(home)) as urls:
        os.environ |= {
            "IRISX_HOME": home,
            "IRISX_LOG_DIR": f"{home}/logs",
            "IRISX_DATABASE_URL": urls.database,
            "IRISX_REDIS_URL": urls.redis,
            "IRISX_SECRET_KEY": "only for this measurement, 32 characters",
            "IRISX_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        }
        logging.setup("bench")
        migrations.upgrade(db.engine())
        port_file, log = Path(home) / "port", Path(home) / "handed"
        log.touch()
        with child("provider", str(port_file), str(log)):
            until_done("the provider", port_file.exists)
            gevent.sleep(0.2)
            url = f"http://127.0.0.1:{port_file.read_text()}"
            tenant = tenants.create(SYSTEM, name="Bench")
            numbers.add(SYSTEM, tenant_id=tenant.id, number="+15550001000")
            accounts.create(
                SYSTEM,
                tenant.id,
                channel="sms",
                provider="twilio",
                name="Local",
                settings={"account_sid": "AC1", "base_url": url},
                credentials={"auth_token": "only for this measurement"},
            )
            throughput(tenant.id, url, log, count)
            killed(tenant.id, log, under_kills)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        db.engine().dispose()


if __name__ == "__main__":
    main()
