"""A whole IRISX on a FreeSWITCH of its own, used over REST as a customer would use it.

with Installation() as irisx:
    irisx.carrier("15", sipp.port)
    sid = irisx.post("/v1/calls", {"to": "+15555550100"})["sid"]

`irisx up` runs as a process group of its own, on free ports and a home of its own.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import requests

from tests.processes import parts_named
from tests.switches import ROOT, FreeSwitch, free_ports
from tests.waiting import wait_until

_READY_SECONDS = 180
_END_SECONDS = 10


class Refused(AssertionError):
    """The API answered with another status than 2xx; `status`, `body`."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.request.method} {response.url}: {response.text[:500]}")
        self.status = response.status_code
        self.body = response.text


class Installation:
    """`irisx up` with a FreeSWITCH. The tenant may do as much as the test wants.

    `esl_url` is where the engine finds the switch, if not at the switch itself (a proxy).
    """

    def __init__(
        self,
        freeswitch: FreeSwitch | None = None,
        *,
        esl_url: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="irisx-home-"))
        self.port, sandbox_sip = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.freeswitch = freeswitch or FreeSwitch()
        self.freeswitch.environment["IRISX_API_URL"] = self.url
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("IRISX_")},
            "IRISX_HOME": str(self.home),
            "IRISX_PORT": str(self.port),
            "IRISX_ESL_URL": esl_url or self.freeswitch.esl_url,
            "IRISX_XML_TOKEN": self.freeswitch.xml_token,
            "IRISX_SANDBOX_SIP": f"127.0.0.1:{sandbox_sip}",
            "IRISX_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
            **(environment or {}),
        }
        self._process: psutil.Popen | None = None
        self._http = requests.Session()
        self._credentials: dict[str, str] = {}
        self._key = ""

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the switch and `irisx up`; the switch's carriers profile follows the API."""
        self.freeswitch.start()
        output = self.home / "up.out"
        with output.open("w") as file:
            self._process = psutil.Popen(
                [sys.executable, "-m", "irisx", "up"],
                cwd=ROOT,
                env=self._environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

        def ready() -> bool:
            assert self._process is not None and self._process.poll() is None, output.read_text()
            return "IRISX is ready" in output.read_text()

        wait_until(ready, _READY_SECONDS)
        self._credentials = json.loads((self.home / "credentials.json").read_text())
        self._key = self._credentials["api_key"]
        tenant = f"/admin/tenants/{self._credentials['tenant_id']}"
        self.admin("PUT", tenant, {"settings": _UNBOUNDED})
        unlimited = {"name": "Test", "permissions": ["*"], "rate_limit": 1_000_000}
        self._key = self.admin("POST", f"{tenant}/api-keys", unlimited)["key"]
        return self

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            group = [self._process, *self._process.children(recursive=True)]
            self._process.terminate()
            _, left = psutil.wait_procs(group, timeout=_END_SECONDS)
            for process in left:
                process.kill()
        self.freeswitch.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is None:
            shutil.rmtree(self.home, ignore_errors=True)
            shutil.rmtree(self.freeswitch.home, ignore_errors=True)

    def part(self, name: str) -> psutil.Process:
        """The process of a part: engine, media, worker, api."""
        assert self._process is not None
        [found] = parts_named(self._process, name)
        return found

    def log(self, part: str) -> str:
        return (self.home / "log" / f"{part}.log").read_text(errors="replace")

    # -- REST -----------------------------------------------------------------------------------

    @property
    def number(self) -> str:
        """The tenant's first number."""
        return self._credentials["number"]

    @property
    def tenant_id(self) -> str:
        return self._credentials["tenant_id"]

    def request(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One request with the tenant's key, whatever the answer."""
        headers = {"X-API-Key": self._key}
        return self._http.request(method, self.url + path, json=body, headers=headers, timeout=30)

    def get(self, path: str) -> Any:
        return _body(self.request("GET", path))

    def post(self, path: str, body: Any = None) -> Any:
        return _body(self.request("POST", path, {} if body is None else body))

    def put(self, path: str, body: Any) -> Any:
        return _body(self.request("PUT", path, body))

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        return _body(self.admin_request(method, path, body))

    def admin_request(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One request of the administrator; when he asked too much, once more a minute later."""
        headers = {"Authorization": f"Bearer {self._credentials['admin_token']}"}
        while True:
            sent = self._http.request(
                method, self.url + path, json=body, headers=headers, timeout=30
            )
            if sent.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                return sent
            time.sleep(int(sent.headers["Retry-After"]))

    # -- what tests need ------------------------------------------------------------------------

    def carrier(self, prefix: str, port: int, **fields: Any) -> str:
        """A carrier at 127.0.0.1 for numbers that begin so (digits); usable when it returns."""
        body = {
            "name": f"carrier {prefix}",
            "host": "127.0.0.1",
            "port": port,
            "prefixes": [prefix],
            **fields,
        }
        carrier = self.admin("POST", "/admin/carriers", body)
        wait_until(lambda: self.has_gateway(carrier["id"]), 5)
        return str(carrier["id"])

    def has_gateway(self, carrier_id: str) -> bool:
        name = f"carrier_{carrier_id.removeprefix('car_')}"
        return "Invalid Gateway" not in self.freeswitch.api(f"sofia status gateway {name}")

    def phone_number(self, number: str, destination: dict[str, str]) -> str:
        body = {"number": number, "destination": destination}
        return str(self.post("/v1/settings/phone-numbers", body)["id"])

    def calls(self, **filters: str) -> list[dict[str, Any]]:
        """All calls of the tenant, newest first, by as many pages as it takes."""
        found: list[dict[str, Any]] = []
        query = {"limit": "100", **filters}
        while True:
            page = self.get("/v1/calls?" + "&".join(f"{k}={v}" for k, v in query.items()))["data"]
            found += page["calls"]
            if page["pagination"]["next_cursor"] is None:
                return found
            query["cursor"] = page["pagination"]["next_cursor"]


_UNBOUNDED = {
    "max_cps": 1000,
    "max_concurrent_calls": 100_000,
    "max_rate_limit": 1_000_000,
}


def _body(response: requests.Response) -> Any:
    if not response.ok:
        raise Refused(response)
    return response.json() if response.content else None
