"""`webhook`: ask a program of the tenant's."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from irisx.telephony.ivr.audio import ShortTemplate, Template
from irisx.telephony.ivr.nodes.base import (
    FAILED,
    NEXT,
    Catalog,
    Fault,
    NodeConfig,
    Outcomes,
    Result,
)
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import HttpAnswer, HttpRequest, Step
from irisx.telephony.ivr.values import rendered_values, templates_in

TIMEOUT = "timeout"
STATUS = re.compile(r"[1-5][0-9][0-9]|[1-5]xx")
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-]{1,64}$")]
AnswerPath = Annotated[
    str, Field(pattern=r"^[^.\s]{1,64}(\.[^.\s]{1,64}){0,9}$", examples=["customer.orders.0.id"])
]
#: Headers that belong to the connection or to our signature.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class Webhook(NodeConfig):
    """Send a request to your program and keep parts of its JSON answer in variables.

    A POST without `body` carries the call and all variables. Requests are signed as webhooks are.
    """

    TIMED = True

    url: Template = Field(examples=["https://example.com/orders/{{ digits }}"])
    method: Literal["GET", "POST"] = "POST"
    headers: dict[HeaderName, ShortTemplate] = Field(default_factory=dict, max_length=20)
    body: dict[str, JsonValue] | None = Field(
        None, description="JSON to send; strings in it are templates.", max_length=100
    )
    save: dict[VariableName, AnswerPath] = Field(
        default_factory=dict,
        max_length=50,
        description="Variables and where in the answer their values are; null if they are not.",
        examples=[{"status": "order.status"}],
    )
    timeout: float = Field(5, ge=0.5, le=20, description="Seconds that each try may take.")
    retries: int = Field(0, ge=0, le=3, description="Further tries after no answer or a 5xx.")

    def outcomes(self) -> Outcomes:
        return Outcomes(
            required=frozenset({NEXT, FAILED}),
            optional=frozenset({TIMEOUT}),
            keys=STATUS,
            keys_are="an HTTP status (404) or a class of them (4xx)",
            fallback={TIMEOUT: FAILED},
        )

    def templates(self) -> Iterator[tuple[str, str]]:
        yield "url", self.url
        yield from templates_in("headers", dict(self.headers))
        yield from templates_in("body", self.body)

    def sets(self) -> Iterable[str]:
        return (*self.save, "http_status")

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if taken := sorted(name for name in self.headers if _is_ours(name)):
            yield Fault(f"headers.{taken[0]}", f"{taken[0]} is set by IRISX; leave it out")
        if self.method == "GET" and self.body is not None:
            yield Fault("body", "a GET has no body; use POST, or put the values into `url`")
        if "{{" not in self.url:
            if wrong := catalog.refuses_url(self.url):
                yield Fault("url", wrong)
        elif not self.url.startswith(("http://", "https://")):
            yield Fault("url", "the URL must begin with http:// or https://, then the template")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        answer = step.http(self._request(step))
        step.scope.set("http_status", answer.status)
        for name, path in self.save.items():
            step.scope.set(name, _found(answer.json, path.split(".")))
        return _outcome(step, answer, exits)

    def _request(self, step: Step) -> HttpRequest:
        headers = {name: step.render(value) for name, value in self.headers.items()}
        body = None
        if self.method == "POST":
            content: Any = {"call": step.scope.facts.get("call"), "variables": step.scope.variables}
            if self.body is not None:
                content = rendered_values(self.body, step.render)
            body = json.dumps(content, default=str).encode()
            headers = {"Content-Type": "application/json"} | headers
        return HttpRequest(
            method=self.method,
            url=step.render(self.url),
            headers=headers,
            body=body,
            timeout_ms=round(self.timeout * 1000),
            retries=self.retries,
        )


def _is_ours(header: str) -> bool:
    return header.lower() in _OURS or header.lower().startswith("webhook-")


def _outcome(step: Step, answer: HttpAnswer, exits: frozenset[str]) -> str:
    if answer.status is None:
        step.explain(f"no answer: {answer.error}")
        return TIMEOUT if answer.timed_out else FAILED
    step.explain(f"the answer is {answer.status}")
    for name in (str(answer.status), f"{answer.status // 100}xx"):
        if name in exits:
            return name
    return NEXT if 200 <= answer.status < 300 else FAILED


def _found(value: Any, path: list[str]) -> Any:
    """The value at a path of names and indexes; None if there is none."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
