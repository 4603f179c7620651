"""Two legs joined: `uuid_bridge` and the `bridge` application (switch_ivr_bridge.c).

The originator of a bridge fires CHANNEL_BRIDGE and CHANNEL_UNBRIDGE; when one leg goes, each
remaining leg decides for itself by its *_after_bridge variables.
"""

from typing import TYPE_CHECKING

from irisx.sandbox.states import State

if TYPE_CHECKING:
    from irisx.sandbox.channel import Channel

TRUE = ("true", "yes", "on", "1", "enabled", "active", "allow")


def is_true(value: str) -> bool:
    """FreeSWITCH's idea of true (switch_true)."""
    return value.strip().lower() in TRUE


def pair(first: "Channel", second: "Channel") -> None:
    """Make two legs partners; a former partner of either is left alone with its variables."""
    for leg, other, kind in ((first, second, "originatee"), (second, first, "originator")):
        former = leg.partner
        if former is not None and former is not other and former.partner is leg:
            former.partner = None
            former.notify()
        leg.partner = other
        leg.other = (kind, other)
        leg.originator = leg is first
        leg.variables["signal_bond"] = other.uuid
        leg.notify()


def uuid_bridge(first: "Channel", second: "Channel") -> None:
    """Join two live legs, whatever they are doing."""
    pair(first, second)
    first.logical_direction = "inbound"
    second.hit_dialplan = False
    for leg, other in ((first, second), (second, first)):
        _note_partner(leg, other)
        leg.set_state(State.CS_SOFT_EXECUTE, again=True)


def _note_partner(leg: "Channel", other: "Channel") -> None:
    leg.variables |= {"bridge_channel": other.name, "bridge_uuid": other.uuid}


def together(leg: "Channel", partner: "Channel") -> bool:
    return leg.partner is partner and partner.partner is leg and partner.up


async def on_soft_execute(leg: "Channel") -> None:
    """Both legs of `uuid_bridge` come here; the second goes on to CS_EXCHANGE_MEDIA."""
    partner = leg.partner
    if partner is None:
        leg.hangup("NORMAL_CLEARING")
        return
    leg.fire("CHANNEL_EXECUTE", {"Application": "uuid_bridge", "Application-Data": partner.uuid})
    if not leg.originator:
        leg.set_state(State.CS_EXCHANGE_MEDIA)
        return
    while leg.ready() and together(leg, partner) and not _arrived(partner):
        await leg.turn(0.02, obey=False)
    if leg.ready() and together(leg, partner):
        await converse(leg, partner)
    if leg.ready():
        after_bridge(leg)


def _arrived(partner: "Channel") -> bool:
    return partner.running is State.CS_EXCHANGE_MEDIA and partner.ready()


async def on_exchange_media(leg: "Channel") -> None:
    """The second leg of a bridge."""
    partner = leg.partner
    if partner is not None:
        partner.notify()
        await _talk(leg, partner)
        if partner.cause:
            leg.variables["last_bridge_hangup_cause"] = partner.cause
    if leg.ready():
        after_bridge(leg)


async def converse(leg: "Channel", partner: "Channel") -> None:
    """The originator's part of a bridge, from CHANNEL_BRIDGE to CHANNEL_UNBRIDGE."""
    now = leg.switch.clock.micros()
    leg.times["bridged"] = partner.times["bridged"] = now
    sides = {"Bridge-A-Unique-ID": leg.uuid, "Bridge-B-Unique-ID": partner.uuid}
    leg.fire("CHANNEL_BRIDGE", sides)
    for one, other in ((leg, partner), (partner, leg)):
        _note_partner(one, other)
    await _talk(leg, partner)
    while not leg.up and partner.ready() and partner.hears is leg:
        # The partner notices first, so that its hang-up cause is known to CHANNEL_UNBRIDGE.
        await leg.turn(0.02, obey=False)
    if partner.cause:
        leg.variables["bridge_hangup_cause"] = partner.cause
        if leg.up:
            leg.variables["last_bridge_hangup_cause"] = partner.cause
    leg.fire("CHANNEL_UNBRIDGE", sides)


async def _talk(leg: "Channel", partner: "Channel") -> None:
    """Hear the partner until one of the two goes; digits are passed on."""
    leg.hears = partner
    try:
        while leg.ready() and together(leg, partner):
            while leg.digits:
                partner.far.receive_digits(leg.digits.popleft())
            await leg.turn()
    finally:
        leg.hears = None
        if leg.partner is partner:
            leg.partner = None
        if partner.up:
            partner.notify()


def after_bridge(leg: "Channel") -> None:
    """What a leg does whose partner has gone: park, transfer, or hang up."""
    if is_true(leg.variables.get("park_after_bridge", "")):
        leg.set_state(State.CS_PARK)
        return
    target = leg.variables.get("transfer_after_bridge", "")
    if target:
        destination, _, rest = target.partition(":")
        dialplan, _, context = rest.partition(":")
        leg.transfer(destination, dialplan, context)
        return
    if leg.originator and not is_true(leg.variables.get("hangup_after_bridge", "")):
        # Its extension goes on; a leg without one is hung up by CS_EXECUTE.
        leg.set_state(State.CS_EXECUTE)
        return
    leg.hangup("NORMAL_CLEARING")
