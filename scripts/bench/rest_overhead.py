"""Time of `GET /v1/settings/phone-numbers` ÷ that of a bare Flask view with the same queries.

Both run in this process through WSGI, on the same embedded PostgreSQL and Valkey, and take turns
in small batches, so that a busy machine slows both. What IRISX adds: the key, the rate limit, the
permission, parsing, the answer's model, request ids, a log line, metrics.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

from psycogreen.gevent import patch_psycopg

patch_psycopg()

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response, jsonify
from sqlalchemy import func, select

from irisx import migrations
from irisx.api.app import create_app
from irisx.kernel import db, logging
from irisx.kernel.embedded import databases
from irisx.kernel.partitions import ensure_partitions
from irisx.tenancy import api_keys, numbers, tenants
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import PhoneNumber

ROWS = 20
BATCH = 50


def bare_app(tenant_id: int) -> Flask:
    app = Flask("bare")

    @app.get("/numbers")
    def list_numbers() -> Response:
        mine = select(PhoneNumber).where(PhoneNumber.tenant_id == tenant_id)
        with db.transaction() as session:
            rows = session.scalars(mine.order_by(PhoneNumber.id).limit(50).offset(0)).all()
            total = session.scalar(select(func.count()).select_from(mine.subquery()))
        found = [
            {
                "id": row.id,
                "number": row.number,
                "name": row.name,
                "destination": row.destination,
                "created_at": row.created_at.isoformat(),
            }
            for row in rows
        ]
        return jsonify(phone_numbers=found, total=total)

    return app


def seconds(send: Callable[[], object]) -> float:
    """Mean time of a request over one batch."""
    began = time.perf_counter()
    for _ in range(BATCH):
        send()
    return (time.perf_counter() - began) / BATCH


def measure(requests: int) -> None:
    tenant = tenants.create(SYSTEM, name="Bench")
    for number in range(ROWS):
        numbers.add(SYSTEM, tenant_id=tenant.id, number=f"+1555000{number:04}", name="Line")
    key = api_keys.create(
        SYSTEM, tenant.id, name="bench", permissions=["*"], rate_limit=1_000_000
    ).secret
    ours, bare = create_app().test_client(), bare_app(tenant.id).test_client()

    def ask_ours() -> None:
        reply = ours.get("/v1/settings/phone-numbers", headers={"X-API-Key": key})
        assert reply.status_code == 200

    def ask_bare() -> None:
        assert bare.get("/numbers").status_code == 200

    seconds(ask_ours), seconds(ask_bare)
    pairs = [(seconds(ask_ours), seconds(ask_bare)) for _ in range(requests // BATCH)]
    ratio = statistics.median(a / b for a, b in pairs)
    mine, theirs = (statistics.median(column) * 1e6 for column in zip(*pairs, strict=True))
    print(f"IRISX {mine:.0f} µs, bare Flask {theirs:.0f} µs a request: {ratio:.2f} ×")
    print(f"{len(pairs)} batches of {BATCH} each; at most 2 ×, aim 1.5 ×")


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory(prefix="irisx-bench-") as home, databases(Path(home)) as urls:
        os.environ |= {
            "IRISX_HOME": home,
            "IRISX_LOG_DIR": f"{home}/logs",
            "IRISX_DATABASE_URL": urls.database,
            "IRISX_REDIS_URL": urls.redis,
            "IRISX_SECRET_KEY": "only for this measurement, 32 characters",
        }
        logging.setup("api")
        with db.engine().begin() as connection:
            migrations.metadata().create_all(connection)
            ensure_partitions(connection)
        measure(requests)
        db.engine().dispose()


if __name__ == "__main__":
    main()
