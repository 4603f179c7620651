"""An email campaign against an SMTP server with faults: what became of every recipient.

The server runs in a process of its own and writes down whom it took a mail for. For one address
in twenty something goes wrong, by a hash of the address: the first attempt is refused for now
(450), all are refused for good (550 5.1.1), or the connection is cut, before the mail or after its
last line (taken or not). Two workers make and send the messages while one after the other is
killed; leases are shortened to 5 s, so that this takes minutes. First a bare loop of smtplib says
what the server takes from clients that do nothing else.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import os
import random
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import socket
from sqlalchemy import insert, select

from irisx import migrations
from irisx.kernel import db, logging
from irisx.kernel.embedded import databases
from irisx.kernel.jobs import Job, Runner
from irisx.messaging import accounts, claiming
from irisx.messaging.channels.email.campaigns import service, stepping
from irisx.messaging.channels.email.campaigns.models import EmailCampaignRecipient
from irisx.messaging.channels.email.campaigns.states import EmailCampaignStatus
from irisx.messaging.claiming import MAX_PER_LANE
from irisx.messaging.contacts.models import ContactList, ContactListMember
from irisx.messaging.models import Message
from irisx.messaging.sending import Sender
from irisx.messaging.states import MessageStatus
from irisx.tenancy import tenants
from irisx.tenancy.access import SYSTEM, Caller
from irisx.tenancy.contact_models import Contact, ContactIdentity
from scripts.bench.messaging_pipeline import until_done

SENDER = "news@acme.example"
BARE = 2000
LEASE = timedelta(seconds=5)
TIMEOUT_SECONDS = 3000.0
FAULTS = {0: "temporary", 1: "permanent", 2: "cut before", 3: "cut, taken", 4: "cut, not taken"}
WORDS = {
    "subject": "News",
    "html": '<p>Hello {{ name }}, <a href="https://a.example/">read</a></p>',
}


def fault_of(address: str) -> str:
    """One in twenty: a hundredth of all addresses has each fault."""
    return FAULTS.get(zlib.crc32(address.encode()) % 100, "none")


class Server:
    """An SMTP server that keeps no mail, only whom it was for."""

    def __init__(self, log_file: str) -> None:
        self._log = Path(log_file).open("a", buffering=1)  # noqa: SIM115 - as long as the process
        self._refused: set[str] = set()

    def __call__(self, peer: socket, _address: object) -> None:
        with suppress(ConnectionError):  # a worker that was killed
            self._converse(peer)
        peer.close()

    def _converse(self, peer: socket) -> None:
        lines = peer.makefile("rb")
        recipient, fault = "", "none"
        peer.sendall(b"220 bench ESMTP\r\n")
        while line := lines.readline():
            reply = b"250 2.0.0 Ok\r\n"
            match line[:4].upper():
                case b"QUIT":
                    break
                case b"RCPT":
                    recipient = line.split(b"<")[1].split(b">")[0].decode()
                    fault = fault_of(recipient)
                    if fault == "permanent":
                        reply = b"550 5.1.1 No such user\r\n"
                    elif fault in ("temporary", "cut before") and recipient not in self._refused:
                        self._refused.add(recipient)
                        if fault == "cut before":
                            break
                        reply = b"450 4.2.0 Try again\r\n"
                case b"DATA":
                    peer.sendall(b"354 Go ahead\r\n")
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                    if fault != "cut, not taken":
                        self._log.write(f"{recipient}\n")
                    if fault.startswith("cut, "):
                        break
            peer.sendall(reply)


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", __spec__.name, *arguments])


@contextmanager
def server(log: Path) -> Iterator[int]:
    """The port of a server process that writes to `log`."""
    port_file = log.with_suffix(".port")
    log.touch()
    process = start("serve", str(port_file), str(log))
    try:
        until_done("the server", lambda: port_file.exists() and port_file.read_text())
        yield int(port_file.read_text())
    finally:
        process.kill()
        process.wait()


def serve(port_file: str, log_file: str) -> None:
    server = StreamServer(("127.0.0.1", 0), Server(log_file), backlog=500)
    server.start()
    Path(port_file).write_text(str(server.server_port))
    server.serve_forever()


def worker() -> None:
    """A worker process with the jobs that a campaign needs."""
    claiming.LEASE = LEASE
    logging.setup("worker")
    Runner([Sender().job, Job(service.TOPIC, stepping.advance, 0.5)]).run()


def bare_loop(port: int) -> float:
    """Mails a second of as many clients as one worker has, over kept connections."""
    mail = b"Subject: News\r\n\r\n" + b"<p>Hello, read</p>\r\n" * 20
    addresses = [f"bare{number}@b.example" for number in range(BARE * 2)]
    harmless = [address for address in addresses if fault_of(address) == "none"][:BARE]

    def submit(part: list[str]) -> None:
        with smtplib.SMTP("127.0.0.1", port) as smtp:
            for address in part:
                smtp.sendmail(SENDER, [address], mail)

    began = time.perf_counter()
    Pool(MAX_PER_LANE).map(submit, [harmless[at::MAX_PER_LANE] for at in range(MAX_PER_LANE)])
    return BARE / (time.perf_counter() - began)


def fill_list(tenant_id: int, count: int) -> int:
    with db.transaction() as session:
        made = ContactList(tenant_id=tenant_id, name="Everybody")
        session.add(made)
        session.flush()
        rows = [{"tenant_id": tenant_id, "name": f"N{n}"} for n in range(count)]
        ids = session.scalars(insert(Contact).returning(Contact.id), rows).all()
        session.execute(
            insert(ContactIdentity),
            [
                {
                    "tenant_id": tenant_id,
                    "contact_id": key,
                    "kind": "email",
                    "address": f"r{number}@b.example",
                }
                for number, key in enumerate(ids)
            ],
        )
        session.execute(
            insert(ContactListMember), [{"list_id": made.id, "contact_id": key} for key in ids]
        )
        return made.id


def run(caller: Caller, campaign_id: int, log: Path, count: int, kills: int) -> float:
    """Send it while workers are killed; seconds from `send` to completed."""
    workers = [start("worker") for _ in range(2)]
    killed = 0
    try:
        gevent.sleep(4)
        began = time.perf_counter()
        service.send(caller, campaign_id)

        def done() -> bool:
            nonlocal killed
            share = len(log.read_text().splitlines()) / count
            if killed < kills and share > (killed + 1) / (kills + 1):
                victim = random.randrange(2)
                workers[victim].send_signal(signal.SIGKILL)
                workers[victim].wait()
                workers[victim] = start("worker")
                killed += 1
            row = service.get(caller.tenant_id, campaign_id)
            gevent.sleep(0.5)
            return row.status is EmailCampaignStatus.COMPLETED

        until_done("the campaign", done, TIMEOUT_SECONDS)
        return time.perf_counter() - began
    finally:
        for each in workers:
            each.kill()
            each.wait()


def account_for(campaign_id: int, log: Path, count: int) -> None:
    """A table of what the server did and what is known of it."""
    took = Counter(log.read_text().splitlines())
    r = EmailCampaignRecipient
    query = (
        select(r.address, r.status, r.reason, Message.status, Message.error_code)
        .outerjoin(Message, Message.id == r.message_id)
        .where(r.campaign_id == campaign_id)
    )
    table: Counter[tuple[str, str, int]] = Counter()
    wrong = []
    with db.transaction() as session:
        found = session.execute(query).all()
    for address, status, reason, message, code in found:
        known = f"{message} {code or ''}" if message else f"{status} {reason or ''}"
        table[fault_of(address), known.strip(), took[address]] += 1
        ended = message in (MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.UNKNOWN)
        agrees = message is MessageStatus.UNKNOWN or (message is MessageStatus.SENT) == bool(
            took[address]
        )
        if not ended or not agrees or took[address] > 1:
            wrong.append(address)
    print("| the server's fault | what is known | mails taken | recipients |\n|---|---|---|---|")
    for (fault, known, taken), number in sorted(table.items()):
        print(f"| {fault} | {known} | {taken} | {number} |")
    print(f"recipients {len(found)} of {count}, not accounted for {len(wrong)}, ", end="")
    print(f"written to twice {sum(number > 1 for number in took.values())}")
    if wrong or len(found) != count:
        raise SystemExit(f"not accounted for: {wrong[:10]}")


def measure(count: int = 20_000, kills: int = 4) -> None:
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
        log = Path(home) / "taken"
        with server(Path(home) / "bare") as port:
            bare = bare_loop(port)
        with server(log) as port:
            tenant = tenants.create(SYSTEM, name="Bench")
            accounts.create(
                SYSTEM,
                tenant.id,
                channel="email",
                provider="smtp",
                name="Local",
                settings={"host": "127.0.0.1", "port": port, "security": "none"},
                credentials={},
                senders=[SENDER],
            )
            caller = Caller(name="bench", tenant_id=tenant.id, permissions=frozenset({"*"}))
            fields = {"name": "All", "list_ids": [fill_list(tenant.id, count)], **WORDS}
            campaign = service.create(SYSTEM, tenant.id, fields)
            seconds = run(caller, campaign.id, log, count, kills)
            account_for(campaign.id, log, count)
        print(
            f"{count} recipients in {seconds:.0f} s under {kills} SIGKILLs of two workers: "
            f"{count / seconds:.0f} a second to the last; bare loop of smtplib {bare:.0f} a second"
        )
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        db.engine().dispose()


def main() -> None:
    match sys.argv[1:]:
        case ["serve", port_file, log_file]:
            serve(port_file, log_file)
        case ["worker"]:
            worker()
        case numbers:
            measure(*(int(text) for text in numbers))


if __name__ == "__main__":
    main()
