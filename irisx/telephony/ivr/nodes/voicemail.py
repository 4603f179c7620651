"""`voicemail`: take a message."""

from collections.abc import Iterator

from pydantic import Field

from irisx.telephony.ivr.nodes.base import Catalog, Fault, Result
from irisx.telephony.ivr.nodes.recording import RecordsCaller
from irisx.telephony.ivr.scope import VariableName
from irisx.telephony.ivr.step import RecordingPurpose, Step

MAILBOX = r"^[A-Za-z0-9_\-]{1,64}$"


class Voicemail(RecordsCaller):
    """Greet, beep and take a message. A caller who hangs up after speaking has left one."""

    mailbox: str = Field(
        "main",
        pattern=MAILBOX,
        description="Whose message it is: a SIP account (sip_3), or a name of yours (sales). "
        "The phones of the accounts whose mailbox it is are told (message waiting).",
        examples=["sip_3", "sales"],
    )
    variable: VariableName = Field("voicemail", description="Variable that gets the message's id.")

    def check(self, catalog: Catalog) -> Iterator[Fault]:
        if self.mailbox.startswith("sip_") and not catalog.has_agent(self.mailbox):
            yield Fault("mailbox", f"there is no agent {self.mailbox}; use a SIP account")

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        return self._record(step, RecordingPurpose.VOICEMAIL, self.mailbox)
