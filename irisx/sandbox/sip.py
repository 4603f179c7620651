"""Real SIP legs through baresip (libre does SIP and RTP; the sandbox sees PCM)."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from irisx.sandbox.farends import FarEnd


class SipEndpoint(Protocol):
    """Places calls to real SIP addresses."""

    def outbound(self, user: str, host: str, variables: dict[str, str]) -> "FarEnd": ...
