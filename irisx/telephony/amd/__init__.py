"""Answering-machine detection on calls: settings, the live detection, its actions and results.

Whoever places calls (the API, campaigns) uses two functions:

    plan = amd.plan(tenant_id, AmdOptions(action_on_machine="hangup"))   # or AmdOptions()
    service.store_call(…, options={…, "amd": plan, "on_answer": {"type": …}})

`plan` merges what the call says into the tenant's settings, refuses what is wrong with a
ValidationError, and gives the JSON that the call's row carries. The engine does the rest: it
listens from the answer on, connects with `on_answer` on a human (and, by default, where nothing
could be told), leaves the message, hangs up or begins a flow, as the plan says for each result.

    amd.result_of(tenant_id, call_id)    # the AmdResult row, None while there is none

The domain event `call.amd` tells the same, in the transaction that writes the row: the call as in
other events and `amd`: `result` (human, machine, fax, silence, unknown), `cause`, `confidence`,
`decided_ms` (from the answer), `after_speech_ms`, `action`. There is one for each answered call
with a plan, also when the media process is away (`unknown`, cause `media_unavailable`) or when the
callee hung up first (`unknown`, cause `hung_up`).
"""

from irisx.telephony.amd.config import Action, AmdOptions, plan
from irisx.telephony.amd.results import result_of

__all__ = ["Action", "AmdOptions", "plan", "result_of"]
