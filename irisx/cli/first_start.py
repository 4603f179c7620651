"""What a new installation needs to place a call: a tenant, a number, a carrier, an API key."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.cli.installation import write_private
from irisx.kernel.db import transaction
from irisx.kernel.errors import IrisxError
from irisx.kernel.ids import public_id
from irisx.settings import get_settings
from irisx.tenancy import api_keys
from irisx.tenancy.access import ALL, SYSTEM
from irisx.tenancy.models import Carrier, PhoneNumber, Tenant
from irisx.tenancy.settings import TenantSettings

#: The number that the API reference's examples call from.
NUMBER = "+15555551234"


@dataclass(frozen=True)
class Credentials:
    """How to use the installation: the content of credentials.json."""

    api_url: str
    api_key: str
    admin_token: str
    tenant_id: str
    number: str


def ensure_credentials() -> Credentials:
    """The credentials kept in the home directory, renewed where they do not fit the database."""
    settings = get_settings()
    path = settings.home / "credentials.json"
    with transaction() as session:
        tenant = _tenant(session)
        number = _number(session, tenant)
        _sandbox_carrier(session)
    credentials = Credentials(
        api_url=settings.base_url,
        api_key=_valid_key(path, tenant) or _new_key(tenant),
        admin_token=settings.admin_token.get_secret_value() if settings.admin_token else "",
        tenant_id=public_id("ten", tenant.id),
        number=number,
    )
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials


def _tenant(session: Session) -> Tenant:
    tenant = session.scalar(select(Tenant).order_by(Tenant.id).limit(1))
    if tenant is None:
        settings = TenantSettings(default_caller_id=NUMBER).model_dump(mode="json")
        tenant = Tenant(name="Default", settings=settings)
        session.add(tenant)
        session.flush()
    return tenant


def _number(session: Session, tenant: Tenant) -> str:
    mine = select(PhoneNumber).where(PhoneNumber.tenant_id == tenant.id).order_by(PhoneNumber.id)
    number = session.scalar(mine.limit(1))
    if number is None:
        number = PhoneNumber(number=NUMBER, tenant_id=tenant.id, name="First number")
        session.add(number)
    return number.number


def _sandbox_carrier(session: Session) -> None:
    if session.scalar(select(Carrier).where(Carrier.sandbox).limit(1)) is None:
        session.add(
            Carrier(
                name="Sandbox",
                host="sandbox.invalid",
                port=5060,
                transport="udp",
                prefixes=[""],
                sandbox=True,
            )
        )


def _valid_key(path: Path, tenant: Tenant) -> str | None:
    """The key of the file, if this database knows it as the tenant's."""
    try:
        key = str(json.loads(path.read_text())["api_key"])
        caller = api_keys.authenticate(key, request_id="first-start", ip=None)
    except (FileNotFoundError, ValueError, KeyError, IrisxError):
        return None
    return key if caller.tenant_id == tenant.id else None


def _new_key(tenant: Tenant) -> str:
    issued = api_keys.create(SYSTEM, tenant.id, name="First key", permissions=[ALL])
    return issued.secret
