"""`/internal/freeswitch/xml`: what FreeSWITCH's mod_xml_curl asks for. In no document."""

import hmac
import ipaddress
import socket
from collections.abc import Iterable

import gevent
import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import Unauthorized

from irisx.kernel.crypto import decrypt
from irisx.settings import get_settings
from irisx.telephony.provisioning import CarrierAddress, Gateway, SipUser, handle
from irisx.tenancy import carriers, sip_accounts
from irisx.tenancy.models import Carrier

log = structlog.get_logger(__name__)

blueprint = Blueprint("internal", __name__)

_USER = "freeswitch"
_RESOLVE_SECONDS = 1.0


class DatabaseSource:
    """The `ProvisioningSource` of an installation. Sandbox carriers are not FreeSWITCH's."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}

    def gateways(self) -> Iterable[Gateway]:
        return [gateway for carrier in _real_carriers() if (gateway := _gateway(carrier))]

    def carrier_addresses(self) -> Iterable[CarrierAddress]:
        hosts = sorted({carrier.host for carrier in _real_carriers()})
        lookups = [gevent.spawn(self._resolve, host) for host in hosts]
        gevent.joinall(lookups)
        found = sorted({address for lookup in lookups for address in lookup.value or []})
        return [CarrierAddress(address) for address in found]

    def sip_user(self, username: str) -> SipUser | None:
        account = sip_accounts.find_by_username(username)
        if account is None:
            return None
        return SipUser(
            username=account.username,
            password=decrypt(account.password_encrypted),
            tenant_id=str(account.tenant_id),
            agent_id=str(account.id),
        )

    def _resolve(self, host: str) -> list[str]:
        """Addresses of a host; the last known ones while its name does not resolve."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            with gevent.Timeout(_RESOLVE_SECONDS, TimeoutError("the look-up took too long")):
                found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            self._known[host] = sorted({str(sockaddr[0]) for *_, sockaddr in found})
        except OSError as error:
            log.warning("a carrier's name does not resolve", host=host, error=str(error))
        return self._known.get(host, [])


_source = DatabaseSource()


@blueprint.post("/internal/freeswitch/xml")
def freeswitch_xml() -> Response:
    _require_token()
    return Response(handle(request.form, _source), mimetype="text/xml")


def _require_token() -> None:
    """FreeSWITCH knows IRISX_XML_TOKEN; without that setting nobody is let in."""
    token = get_settings().xml_token
    given = request.authorization
    if (
        token is None
        or given is None
        or given.type != "basic"
        or given.username != _USER
        or not hmac.compare_digest(
            (given.password or "").encode(), token.get_secret_value().encode()
        )
    ):
        raise Unauthorized("FreeSWITCH's own credentials are needed here.")


def _real_carriers() -> list[Carrier]:
    return [carrier for carrier in carriers.list_enabled() if not carrier.sandbox]


def _gateway(carrier: Carrier) -> Gateway | None:
    """None for a row that FreeSWITCH would misread: the other carriers go on."""
    host = f"[{carrier.host}]" if ":" in carrier.host else carrier.host
    try:
        return Gateway(
            name=carrier.gateway,
            host=host,
            port=carrier.port,
            transport=carrier.transport,
            username=carrier.username,
            password=decrypt(carrier.password_encrypted) if carrier.password_encrypted else None,
            register=carrier.register,
        )
    except ValueError as error:
        log.error("a carrier is left out", carrier=carrier.public_id, reason=str(error))
        return None
