"""The node types: a file each, listed here."""

from irisx.telephony.ivr.nodes.ai_agent import AiAgent
from irisx.telephony.ivr.nodes.base import NodeConfig
from irisx.telephony.ivr.nodes.condition import ConditionNode
from irisx.telephony.ivr.nodes.gather import Gather
from irisx.telephony.ivr.nodes.hangup import Hangup
from irisx.telephony.ivr.nodes.hours import Hours
from irisx.telephony.ivr.nodes.menu import Menu
from irisx.telephony.ivr.nodes.play import Play
from irisx.telephony.ivr.nodes.queue import Queue
from irisx.telephony.ivr.nodes.record import Record
from irisx.telephony.ivr.nodes.return_ import Return
from irisx.telephony.ivr.nodes.send_sms import SendSms
from irisx.telephony.ivr.nodes.set_variable import SetVariable
from irisx.telephony.ivr.nodes.subflow import Subflow
from irisx.telephony.ivr.nodes.transfer import Transfer
from irisx.telephony.ivr.nodes.voicemail import Voicemail
from irisx.telephony.ivr.nodes.webhook import Webhook

#: Every node type by its name in a flow.
TYPES: dict[str, type[NodeConfig]] = {
    "play": Play,
    "gather": Gather,
    "menu": Menu,
    "transfer": Transfer,
    "queue": Queue,
    "voicemail": Voicemail,
    "webhook": Webhook,
    "condition": ConditionNode,
    "set_variable": SetVariable,
    "ai_agent": AiAgent,
    "record": Record,
    "hours": Hours,
    "subflow": Subflow,
    "return": Return,
    "hangup": Hangup,
    "send_sms": SendSms,
}
