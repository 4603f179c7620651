"""`send_sms`: send the caller a text message."""

import re
from collections.abc import Iterator

from pydantic import Field

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
from irisx.telephony.ivr.step import Step

EVENT = "ivr.send_sms"
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_MAX_TEXT = 1600


class SendSms(NodeConfig):
    """Ask messaging to send a text message; the call goes on at once."""

    to: ShortTemplate = Field("{{ caller.number }}", description="E.164; by default the caller.")
    from_: ShortTemplate | None = Field(None, alias="from", description="One of your numbers.")
    text: Template = Field(examples=["Your appointment is on {{ appointment }}."])

    def outcomes(self) -> Outcomes:
        return Outcomes(optional=frozenset({FAILED}))

    def templates(self) -> Iterator[tuple[str, str]]:
        yield "to", self.to
        yield "text", self.text
        if self.from_ is not None:
            yield "from", self.from_

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if "{{" not in self.to and not _E164.fullmatch(self.to):
            yield Fault("to", f"{self.to!r} is no E.164 number such as +15555550100")
        if self.from_ and "{{" not in self.from_ and not catalog.has_number(self.from_):
            yield Fault("from", f"{self.from_} is none of your numbers; use one of them")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        to, text = step.render(self.to), step.render(self.text).strip()
        if not _E164.fullmatch(to) or not text:
            step.explain(f"no message: {to!r} is no number" if text else "no message: no text")
            return FAILED
        sender = step.render(self.from_) if self.from_ is not None else None
        step.raise_event(EVENT, {"to": to, "from": sender, "text": text[:_MAX_TEXT]})
        step.explain(f"a message to {to}")
        return NEXT
