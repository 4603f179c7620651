"""The node types: a file each, listed here."""

from irisx.telephony.ivr.nodes.base import NodeConfig
from irisx.telephony.ivr.nodes.gather import Gather
from irisx.telephony.ivr.nodes.play import Play

#: Every node type by its name in a flow.
TYPES: dict[str, type[NodeConfig]] = {
    "gather": Gather,
    "play": Play,
}
