"""Meta's Graph API: its errors, and requests about what an account has (templates, media)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from irisx.kernel import http
from irisx.kernel.errors import Conflict, IrisxError, Unavailable
from irisx.kernel.http import Reply, retry_after
from irisx.messaging.provider import Account, FailureKind, Wire, secrets_of

#: Error code -> what it means, where the HTTP status does not say it ("Error codes").
KINDS: Mapping[int, FailureKind] = MappingProxyType(
    {
        0: FailureKind.ACCOUNT,  # the token can't be authenticated
        2: FailureKind.UNAVAILABLE,  # service temporarily unavailable
        3: FailureKind.ACCOUNT,  # capability or permission
        4: FailureKind.THROTTLED,  # calls of the app
        10: FailureKind.ACCOUNT,  # permission
        33: FailureKind.ACCOUNT,  # the business number is deleted
        190: FailureKind.ACCOUNT,  # the token has expired
        368: FailureKind.ACCOUNT,  # blocked for policy violations
        80007: FailureKind.THROTTLED,  # calls of the business account
        130429: FailureKind.THROTTLED,  # throughput of the number
        131000: FailureKind.IN_DOUBT,  # something went wrong
        131005: FailureKind.ACCOUNT,  # permission
        131016: FailureKind.UNAVAILABLE,  # service overloaded
        131026: FailureKind.REJECTED,  # not deliverable: no WhatsApp there, old terms
        131031: FailureKind.ACCOUNT,  # account locked
        131042: FailureKind.ACCOUNT,  # payment
        131047: FailureKind.REJECTED,  # more than 24 hours since the customer wrote
        131048: FailureKind.THROTTLED,  # too many were reported as spam
        131056: FailureKind.THROTTLED,  # too many to one recipient
        133010: FailureKind.ACCOUNT,  # the number is not registered
    }
)
_SECONDS = 10.0
_MAX_BYTES = 4 * 1024 * 1024
_NOT_JSON = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class GraphError:
    """`code`: Meta's number. `text`: what Meta says to a person, else to a program."""

    code: int
    text: str
    subcode: int = 0

    @property
    def kind(self) -> FailureKind | None:
        return KINDS.get(self.code)


def error_of(reply: Reply) -> GraphError | None:
    """The error that an answer carries, if it is one of the Graph API's."""
    try:
        error = json.loads(reply.body)["error"]
        text = error.get("error_user_msg") or error.get("message") or ""
        details = error.get("error_data") or {}
        more = details.get("details") if isinstance(details, dict) else None
        words = f"{text} ({more})" if more and more != text else str(text)
        return GraphError(int(error["code"]), words[:500], int(error.get("error_subcode") or 0))
    except _NOT_JSON:
        return None


def ask(
    account: Account,
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = "application/json",
    timeout: float = _SECONDS,
) -> dict[str, Any]:
    """One request to the account's API, `path` behind the version, in `timeout` s; the answer's
    JSON.

    Raises Unavailable PROVIDER_UNAVAILABLE, Conflict ACCOUNT_REFUSED (credentials, permissions) or
    PROVIDER_REFUSED; the cause of both is a `GraphRefused`.
    """
    settings = account.settings
    url = f"{settings.base_url}/{settings.version}/{path}"
    if query:
        url += f"?{urlencode(query)}"
    headers = {"Authorization": f"Bearer {account.credentials.access_token}"}
    if body is not None:
        headers["Content-Type"] = content_type
    try:
        reply = http.request(
            method, url, headers=headers, body=body, timeout=timeout, max_bytes=_MAX_BYTES
        )
    except http.HttpFailure as failure:
        raise _unavailable(f"WhatsApp can't be reached: {failure}") from failure
    if 200 <= reply.status < 300:
        try:
            answer = json.loads(reply.body)
        except _NOT_JSON:
            raise _unavailable("WhatsApp's answer can't be understood.") from None
        if isinstance(answer, dict):
            return answer
        raise _unavailable("WhatsApp's answer can't be understood.")
    raise _refusal(account, reply)


class GraphRefused(Exception):
    """The cause of an IrisxError: what the API answered."""

    def __init__(self, error: GraphError | None) -> None:
        super().__init__(error.text if error else "")
        self.error = error


def _refusal(account: Account, reply: Reply) -> IrisxError:
    error = error_of(reply)
    refused: IrisxError
    if error is None or reply.status >= 500 or error.kind in _LATER:
        wait = retry_after(reply)
        headers = {"Retry-After": str(max(1, round(wait.total_seconds())))} if wait else {}
        text = error.text if error else f"status {reply.status}"
        refused = _unavailable(f"WhatsApp can't do this now: {text}", headers)
    else:
        text = str(Wire(secrets_of(account.credentials)).clean(error.text))
        code = "ACCOUNT_REFUSED" if error.kind is FailureKind.ACCOUNT else "PROVIDER_REFUSED"
        refused = Conflict(f"WhatsApp refuses this (error {error.code}): {text}", code=code)
    refused.__cause__ = GraphRefused(error)
    return refused


_LATER = frozenset({FailureKind.THROTTLED, FailureKind.UNAVAILABLE, FailureKind.IN_DOUBT})


def _unavailable(message: str, headers: dict[str, str] | None = None) -> Unavailable:
    return Unavailable(message, code="PROVIDER_UNAVAILABLE", headers=headers)
