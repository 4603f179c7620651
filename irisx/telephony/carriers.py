"""Bringing a node's gateways and carrier addresses to what the database says.

Which version of each gateway a node has stands in a global variable of the node itself, so an
engine that has just taken it over changes only what differs, and calls on the others go on.
"""

import json

import structlog
from sqlalchemy import select

from irisx.kernel.db import transaction
from irisx.telephony import provisioning
from irisx.telephony.esl import commands
from irisx.telephony.esl.commands import Api
from irisx.telephony.esl.errors import CommandRefused
from irisx.telephony.switch import Switch
from irisx.tenancy.models import Carrier

log = structlog.get_logger()

_VARIABLE = "irisx_gateways"


#: The host of a sandbox carrier whose far ends are the sandbox's own, chosen by number.
SCRIPTED = "sandbox.invalid"


def point_sandbox(switch: Switch) -> None:
    """Tell the sandbox which of its carriers lead to a real SIP address.

    Raises SQLAlchemyError or EslError.
    """
    with transaction() as session:
        enabled = session.scalars(select(Carrier).where(Carrier.enabled, Carrier.sandbox)).all()
    for carrier in enabled:
        address = "" if carrier.host == SCRIPTED else f"{carrier.host}:{carrier.port}"
        _quietly(switch, f"sandbox_gateway {carrier.gateway} {address}".rstrip())


def refresh(switch: Switch) -> bool:
    """Apply the carriers of the database; False: the API is away, try again later.

    Raises SQLAlchemyError or EslError.
    """
    with transaction() as session:
        enabled = session.scalars(select(Carrier).where(Carrier.enabled, ~Carrier.sandbox)).all()
    wanted = {carrier.gateway: carrier.updated_at.isoformat() for carrier in enabled}
    present = _present(switch)
    if not provisioning.addresses_are_served(_quietly(switch, provisioning.ADDRESSES_QUERY)):
        return False
    _quietly(switch, provisioning.RELOAD_ADDRESSES)
    for name in present:
        if present[name] != wanted.get(name):
            _quietly(switch, provisioning.kill_gateway(name))
    for name in wanted:
        if wanted[name] != present.get(name):
            _quietly(switch, provisioning.start_gateways(name))
    switch.connection.api(commands.global_setvar(_VARIABLE, json.dumps(wanted)))
    if wanted != present:
        log.info("carriers.refreshed", switch=switch.name, gateways=sorted(wanted))
    return True


def _present(switch: Switch) -> dict[str, str]:
    try:
        present: dict[str, str] = json.loads(
            switch.connection.api(commands.global_getvar(_VARIABLE))
        )
    except (CommandRefused, ValueError):
        return {}
    return present


def _quietly(switch: Switch, command: str) -> str:
    """The answer; a refusal (a gateway that was gone already) is logged only."""
    try:
        return switch.connection.api(Api(command))
    except CommandRefused as error:
        log.info("carriers.refused", switch=switch.name, error=str(error))
        return error.text
