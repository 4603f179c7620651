"""What a new installation needs to place a call: a tenant, a number, a carrier, an API key."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from irisx.cli.installation import write_private
from irisx.kernel.errors import Forbidden, Unauthorized
from irisx.settings import get_settings
from irisx.telephony.carriers import SCRIPTED
from irisx.tenancy import api_keys, carriers, numbers, tenants
from irisx.tenancy.access import ALL, SYSTEM
from irisx.tenancy.models import PhoneNumber, Tenant

#: The number that the API reference's examples call from.
NUMBER = "+15555551234"
#: The sandbox's far end that answers and talks; calls to the first number reach it.
_ANSWERS = "+15555550100"


@dataclass(frozen=True)
class Credentials:
    """How to use the installation: the content of credentials.json."""

    api_url: str
    api_key: str
    admin_token: str
    tenant_id: str
    number: str


def ensure_credentials() -> Credentials:
    """The credentials kept in the home directory, renewed where they do not fit the database.

    An empty database gets the first tenant, its number and a carrier of the sandbox switch.
    """
    settings = get_settings()
    path = settings.home / "credentials.json"
    existing, _ = tenants.list_page(limit=1, offset=0)
    tenant = existing[0] if existing else _first_tenant()
    owned, _ = numbers.list_page(tenant.id, limit=1, offset=0)
    number = owned[0] if owned else _first_number(tenant)
    credentials = Credentials(
        api_url=settings.base_url,
        api_key=_valid_key(path, tenant) or _new_key(tenant),
        admin_token=settings.admin_token.get_secret_value() if settings.admin_token else "",
        tenant_id=tenant.public_id,
        number=number.number,
    )
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials


def _first_tenant() -> Tenant:
    carriers.create(
        SYSTEM,
        name="Sandbox",
        host=SCRIPTED,
        port=5060,
        transport="udp",
        prefixes=[""],
        sandbox=True,
    )
    return tenants.create(SYSTEM, name="Default")


def _first_number(tenant: Tenant) -> PhoneNumber:
    reaches = None if get_settings().esl_url else {"type": "number", "to": _ANSWERS}
    number = numbers.add(
        SYSTEM, tenant_id=tenant.id, number=NUMBER, name="First number", destination=reaches
    )
    tenants.change(SYSTEM, tenant.id, settings={"default_caller_id": number.number})
    return number


def _valid_key(path: Path, tenant: Tenant) -> str | None:
    """The key of the file, if this database knows it as the tenant's."""
    try:
        key = str(json.loads(path.read_text())["api_key"])
        caller = api_keys.authenticate(key, request_id="first-start", ip=None)
    except Forbidden:
        return key  # known, and whoever disabled it or its tenant meant it
    except (FileNotFoundError, ValueError, KeyError, TypeError, Unauthorized):
        return None
    return key if caller.tenant_id == tenant.id else None


def _new_key(tenant: Tenant) -> str:
    return api_keys.create(SYSTEM, tenant.id, name="First key", permissions=[ALL]).secret
