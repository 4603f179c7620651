"""Requests of flows to their tenants' programs: guarded, signed, tried again."""

import json

from irisx.kernel import http
from irisx.telephony.ivr.step import HttpAnswer, HttpRequest
from irisx.tenancy import signing

_MAX_ANSWER_BYTES = 64 * 1024


def ask(request: HttpRequest, key: str, secret: str) -> HttpAnswer:
    """Ask, and ask again where no answer came or the server failed.

    `key`: the request's `webhook-id`, the same for every try. `secret`: `signing.secret`.
    """
    answer = HttpAnswer(None)
    for _ in range(request.retries + 1):
        answer = _ask_once(request, key, secret)
        if answer.status is not None and answer.status < 500:
            break
    return answer


def _ask_once(request: HttpRequest, key: str, secret: str) -> HttpAnswer:
    headers = {**request.headers, **signing.headers(secret, key, request.body or b"")}
    try:
        reply = http.request(
            request.method,
            request.url,
            headers=headers,
            body=request.body,
            timeout=request.timeout_ms / 1000,
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except http.TimedOut as failure:
        return HttpAnswer(None, error=str(failure), timed_out=True)
    except http.HttpFailure as failure:
        return HttpAnswer(None, error=str(failure))
    try:
        content = json.loads(reply.body) if reply.body else None
    except ValueError:
        content = None
    return HttpAnswer(reply.status, content)
