"""Which engine holds a node. Exactly one: two would both act on the same events.

The lease is a key in Redis (`irisx:node:<node>`), renewed each half second. The holder also leaves
its name and the time on the node itself, which decides while Redis is away. An engine on the same
machine (and in the same pid namespace: containers share a host's name) whose process is gone has
lost its lease at once: a restart needs no waiting.
"""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from redis import RedisError

from irisx.kernel.redis import redis
from irisx.telephony.esl import commands
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.switch import Switch

log = structlog.get_logger()

RENEW_SECONDS = 0.5
TTL_SECONDS = 2.0
_VARIABLE = "irisx_engine"


class Leases:
    """This engine's leases."""

    def __init__(self) -> None:
        self.engine_id = uuid4().hex
        self._me = {"engine": self.engine_id, "host": _pid_space(), "pid": os.getpid()}

    def hold(self, switch: Switch) -> bool:
        """Take or renew the lease of a node that is up; False while another engine has it.

        Raises EslError if the node goes away meanwhile.
        """
        key = f"irisx:node:{switch.name}"
        try:
            held = redis().get(key)
            holder = json.loads(held) if held else None
            if holder is not None and self._belongs_to_other(holder):
                return False
            redis().set(key, json.dumps(self._me), px=round(TTL_SECONDS * 1000))
        except RedisError:
            if self._belongs_to_other(self._seen_on_node(switch)):
                return False
        beat = json.dumps(self._me | {"at": round(time.time(), 1)})
        switch.connection.api(commands.global_setvar(_VARIABLE, beat))
        return True

    def hold_queues(self, tenant_id: int) -> bool:
        """Take or renew the lease of a tenant's queues; False while another engine has it.

        While Redis is away whoever has callers goes on.
        """
        key = f"irisx:queues:{tenant_id}"
        try:
            held = redis().get(key)
            if held and self._belongs_to_other(json.loads(held)):
                return False
            redis().set(key, json.dumps(self._me), px=round(TTL_SECONDS * 1000))
        except RedisError as error:
            log.info("lease.queues_unknown", tenant=tenant_id, reason=str(error))
        return True

    def release(self, switch: Switch) -> None:
        """Give the node to whoever asks next."""
        self._release(f"irisx:node:{switch.name}")

    def release_queues(self, tenant_id: int) -> None:
        """Give a tenant's queues to whoever asks next."""
        self._release(f"irisx:queues:{tenant_id}")

    def _release(self, key: str) -> None:
        try:
            held = redis().get(key)
            if held and json.loads(held)["engine"] == self.engine_id:
                redis().delete(key)
        except RedisError as error:
            log.info("lease.not_released", key=key, reason=str(error))

    def _belongs_to_other(self, holder: dict[str, Any] | None) -> bool:
        if holder is None or holder["engine"] == self.engine_id:
            return False
        if holder["host"] == self._me["host"] and not _is_alive(holder["pid"]):
            return False
        return bool(time.time() - holder.get("at", time.time()) < TTL_SECONDS)

    def _seen_on_node(self, switch: Switch) -> dict[str, Any] | None:
        try:
            value = switch.connection.api(commands.global_getvar(_VARIABLE))
            seen: dict[str, Any] = json.loads(value)
        except (CommandRefused, ValueError):
            return None
        return seen


def _pid_space() -> str:
    """Where a pid means one process: the machine, and its pid namespace where there is such."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
