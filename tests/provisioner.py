"""A small HTTP server in the API's place: it answers mod_xml_curl from what a test put in it."""

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from irisx.telephony.provisioning import CarrierAddress, Gateway, SipUser, handle


class Provisioner:
    """A `ProvisioningSource` that a test changes at will, served at `url`.

    `requests` holds the forms that came; `credentials` the decoded basic authentication of the
    last one.
    """

    def __init__(self) -> None:
        self.trunks: list[Gateway] = []
        self.addresses: list[CarrierAddress] = []
        self.users: dict[str, SipUser] = {}
        self.requests: list[dict[str, str]] = []
        self.credentials = ""
        provisioner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = dict(parse_qsl(body))
                provisioner.requests.append(form)
                scheme, _, token = self.headers.get("Authorization", "").partition(" ")
                provisioner.credentials = base64.b64decode(token).decode() if scheme else ""
                found = self.path == "/internal/freeswitch/xml"
                answer = handle(form, provisioner).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: `requests` says it all."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def gateways(self) -> list[Gateway]:
        return self.trunks

    def carrier_addresses(self) -> list[CarrierAddress]:
        return self.addresses

    def sip_user(self, username: str) -> SipUser | None:
        return self.users.get(username)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
