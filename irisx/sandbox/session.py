"""What a channel does in each of its states (switch_core_state_machine.c)."""

from irisx.sandbox import bridge, dialplan
from irisx.sandbox.channel import Channel, Handler
from irisx.sandbox.states import CallState, State


async def on_init(channel: Channel) -> None:
    channel.fire("CHANNEL_CREATE")
    if channel.direction == "outbound":
        channel.fire("CHANNEL_ORIGINATE")
    channel.set_state(State.CS_ROUTING)


async def on_routing(channel: Channel) -> None:
    """An outbound leg waits for its far end; any other asks the dialplan."""
    if channel.direction == "outbound" and not channel.hit_dialplan:
        channel.set_state(State.CS_CONSUME_MEDIA)
        channel.far.dial(channel)
        return
    if channel.direction == "inbound" and channel.call_state is CallState.DOWN:
        channel.set_call_state(CallState.RINGING)
    if not channel.actions:
        channel.actions.extend(dialplan.route(channel))
    if channel.actions:
        channel.set_state(State.CS_EXECUTE)
    else:
        channel.hangup("NO_ROUTE_DESTINATION")


async def on_execute(channel: Channel) -> None:
    """Run the extension; a channel whose extension is over is hung up."""
    while channel.ready() and channel.actions:
        action = channel.actions.popleft()
        await channel.execute(action.application, action.argument_for(channel))
    if channel.ready():
        channel.hangup("NORMAL_CLEARING")


async def on_consume_media(channel: Channel) -> None:
    while channel.ready():
        await channel.turn()


async def on_park(channel: Channel) -> None:
    await park(channel)


async def park(channel: Channel) -> None:
    """The park loop (switch_ivr.c, switch_ivr_park): obey commands until moved or hung up.

    The variable park_timeout is `seconds[:cause]`; it is good for one park, and takes
    park_after_bridge with it.
    """
    timeout = channel.variables.pop("park_timeout", None)
    if timeout is not None:
        channel.variables.pop("park_after_bridge", None)
    limit, _, cause = (timeout or "").partition(":")
    seconds = float(limit) if limit.isascii() and limit.isdigit() and int(limit) else None
    clock = channel.switch.clock
    began = clock.now()
    channel.fire("CHANNEL_PARK")
    while channel.ready():
        left = None if seconds is None else began + seconds - clock.now()
        if left is not None and left <= 0:
            channel.hangup(cause or "NORMAL_CLEARING")
            break
        channel.take_break()
        await channel.turn(left)
    channel.fire("CHANNEL_UNPARK")


HANDLERS: dict[State, Handler] = {
    State.CS_INIT: on_init,
    State.CS_ROUTING: on_routing,
    State.CS_EXECUTE: on_execute,
    State.CS_SOFT_EXECUTE: bridge.on_soft_execute,
    State.CS_EXCHANGE_MEDIA: bridge.on_exchange_media,
    State.CS_CONSUME_MEDIA: on_consume_media,
    State.CS_PARK: on_park,
}
