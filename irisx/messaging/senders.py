"""What a tenant's messages to phones may come from."""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from irisx.kernel.errors import invalid
from irisx.tenancy.models import PhoneNumber, Tenant
from irisx.tenancy.settings import TenantSettings


def settings_of(session: Session, tenant_id: int) -> TenantSettings:
    return TenantSettings.model_validate(session.get_one(Tenant, tenant_id).settings)


def numbers_of(session: Session, tenant_id: int) -> Sequence[str]:
    """The tenant's phone numbers, the first one first."""
    mine = select(PhoneNumber.number).filter_by(tenant_id=tenant_id).order_by(PhoneNumber.id)
    return session.scalars(mine).all()


def address(field: str, text: str, normalise: Callable[[str], str]) -> str:
    """An address of a request in its channel's form. Raises ValidationError about `field`."""
    try:
        return normalise(text)
    except ValueError as error:
        raise invalid(field, str(error)) from None


def choose(
    wanted: str | None, own: Sequence[str], default: str | None, normalise: Callable[[str], str]
) -> str:
    """What was asked for, if it is among the tenant's `own`; else its default, else its first.
    Raises ValidationError about `from`."""
    if wanted is not None:
        sender = address("from", wanted, normalise)
        if sender not in own:
            raise invalid("from", f"{wanted} is neither a number of yours nor a sender of yours")
        return sender
    if not own:
        raise invalid("from", "the tenant has no phone number to send from; add one first")
    return default if default is not None and default in own else own[0]
