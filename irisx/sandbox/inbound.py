"""Calls that reach the sandbox from outside, acted by a script or carried by real SIP."""

import re
from typing import TYPE_CHECKING

from irisx.sandbox.channel import Channel
from irisx.sandbox.farends import Caller, FarEnd
from irisx.sandbox.leg import Profile

if TYPE_CHECKING:
    from irisx.sandbox.switch import Switch


def call(switch: "Switch", caller: str, called: str, options: dict[str, str]) -> Channel | None:
    """A scripted caller dials `called`; None when the switch refuses.

    Options: `digits` and the times of farends.Caller in seconds, `caller_name`; any other is a
    channel variable (sip_h_…).
    """
    times = {
        name: float(options[name])
        for name in Caller.DEFAULTS
        if re.fullmatch(r"\d{1,5}(\.\d{1,3})?", options.get(name, ""))
    }
    far = Caller(options.get("digits", ""), times)
    own = {"digits", "caller_name", *Caller.DEFAULTS}
    variables = {name: value for name, value in options.items() if name not in own}
    channel = receive(switch, far, caller, called, options.get("caller_name", caller), variables)
    if channel is not None:
        far.dial(channel)
    return channel


def receive(
    switch: "Switch",
    far: FarEnd,
    caller: str,
    called: str,
    caller_name: str,
    variables: dict[str, str],
) -> Channel | None:
    """An INVITE has arrived: the channel that mod_sofia would make of it."""
    if switch.admit("inbound"):
        return None
    sip = {
        "sip_from_user": caller,
        "sip_from_host": "127.0.0.1",
        "sip_from_uri": f"{caller}@127.0.0.1",
        "sip_from_display": caller_name,
        "sip_to_user": called,
        "sip_to_host": "127.0.0.1",
        "sip_to_uri": f"{called}@127.0.0.1",
        "sip_req_user": called,
        "sip_req_host": "127.0.0.1",
        "sip_req_uri": f"{called}@127.0.0.1",
        "sip_network_ip": "127.0.0.1",
        "sip_received_ip": "127.0.0.1",
        "sip_via_protocol": "udp",
        "endpoint_disposition": "RECEIVED",
        "sofia_profile_name": "carriers",
        "recovery_profile_name": "carriers",
    }
    profile = Profile(
        destination=called,
        caller_id_name=caller_name,
        caller_id_number=caller,
        orig_caller_id_number=caller,
        ani=caller,
        network_addr="127.0.0.1",
        dialplan="XML",
        context="carriers",
    )
    name = f"sofia/carriers/{caller}@127.0.0.1"
    channel = Channel(switch, far, name, "inbound", profile, variables=sip | variables)
    channel.variables["sip_call_id"] = channel.uuid
    switch.adopt(channel)
    channel.start()
    return channel
