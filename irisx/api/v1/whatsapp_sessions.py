"""`/v1/whatsapp/sessions`: sessions of WAHA accounts."""

from typing import Any

from flask import Response

from irisx.api.http import Router
from irisx.api.schemas import Answer
from irisx.api.v1.messaging import AccountId
from irisx.messaging.channels.whatsapp import sessions
from irisx.messaging.channels.whatsapp.models import SessionStatus
from irisx.messaging.channels.whatsapp.sessions import SessionView
from irisx.tenancy.access import Caller

router = Router("WhatsApp Sessions")

_READ = "whatsapp:read"
_WRITE = "whatsapp:write"
_REFUSED = {409: "The server has no such session yet, or refuses the api_key."}
_NO_QR = {409: "The session waits for no scan."}
_RULE = "/v1/whatsapp/sessions/<messaging_account_id>"


class WhatsAppSession(Answer):
    """`wanted`: it was started, and is started again whenever it ends. `phone`, `name`: whose
    WhatsApp it is; null until the code was scanned."""

    account_id: AccountId
    session: str
    status: SessionStatus
    wanted: bool
    phone: str | None
    name: str | None


class WhatsAppQr(Answer):
    value: str


@router.get(_RULE, access=_READ, answer=WhatsAppSession, also=_REFUSED)
def get_whatsapp_session(caller: Caller, messaging_account_id: AccountId) -> SessionView:
    """Get the session of a WAHA account, as its server has it now."""
    return sessions.show(caller.tenant_id, messaging_account_id)


@router.post(f"{_RULE}/start", access=_WRITE, answer=WhatsAppSession)
def start_whatsapp_session(caller: Caller, messaging_account_id: AccountId) -> SessionView:
    """Create the session, with our webhook, and start it. It then waits for its QR code to be
    scanned, if it was not before."""
    return sessions.start(caller, caller.tenant_id, messaging_account_id)


@router.post(f"{_RULE}/restart", access=_WRITE, answer=WhatsAppSession)
def restart_whatsapp_session(caller: Caller, messaging_account_id: AccountId) -> SessionView:
    """Connect anew."""
    return sessions.restart(caller, caller.tenant_id, messaging_account_id)


@router.post(f"{_RULE}/stop", access=_WRITE, answer=WhatsAppSession)
def stop_whatsapp_session(caller: Caller, messaging_account_id: AccountId) -> SessionView:
    """Stop the session; its next start needs no scan."""
    return sessions.stop(caller, caller.tenant_id, messaging_account_id, log_out=False)


@router.post(f"{_RULE}/logout", access=_WRITE, answer=WhatsAppSession)
def log_out_whatsapp_session(caller: Caller, messaging_account_id: AccountId) -> SessionView:
    """End the session for good; the next one needs a new scan."""
    return sessions.stop(caller, caller.tenant_id, messaging_account_id, log_out=True)


@router.get(f"{_RULE}/qr", access=_READ, answer=WhatsAppQr, also=_NO_QR)
def get_whatsapp_qr_code(caller: Caller, messaging_account_id: AccountId) -> dict[str, Any]:
    """What the QR code says that WhatsApp is to scan; 409 NO_QR_CODE if it waits for none."""
    return {"value": sessions.qr_code(caller.tenant_id, messaging_account_id)}


@router.get(f"{_RULE}/qr.png", access=_READ, produces="image/png", also=_NO_QR)
def get_whatsapp_qr_picture(caller: Caller, messaging_account_id: AccountId) -> Response:
    """The QR code as a picture; it is another one every 20 s or so."""
    picture = sessions.qr_png(caller.tenant_id, messaging_account_id)
    return Response(picture, content_type="image/png")
