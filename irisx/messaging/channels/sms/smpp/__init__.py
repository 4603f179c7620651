"""SMPP 3.4: text messages over a connection to a carrier's message centre (SMSC)."""

from irisx.messaging.channels.sms.smpp.provider import Smpp

__all__ = ["Smpp"]
