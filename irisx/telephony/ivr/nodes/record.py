"""`record`: record the caller."""

from irisx.telephony.ivr.nodes.base import Result
from irisx.telephony.ivr.nodes.recording import RecordsCaller
from irisx.telephony.ivr.step import RecordingPurpose, Step


class Record(RecordsCaller):
    """Record what the caller says; `variable` gets the recording's id."""

    def run(self, step: Step, exits: frozenset[str]) -> Result:
        return self._record(step, RecordingPurpose.RECORDING, None)
