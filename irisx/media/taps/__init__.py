"""Live audio of calls: what somebody on a call says and hears, to whatever listens to it.

The engine has the switch write a channel's audio, unbuffered, into a headerless file on tmpfs
(`uuid_record` to `<id>.r8`); one reader in the media process beside the switch follows the files
of all taps and hands each one's audio to its consumer. The switch waits for nobody: a reader that
is slow or dead costs no call anything. The file's name is removed as soon as the reader has opened
it, so that nothing is left behind, whoever is killed.

A consumer is a class in this room (say `irisx/media/listening/`):

    class Listener(Consumer):
        def __init__(self, tap: Tap, args: dict[str, Any]) -> None: ...   # `args`: the engine's
        def hear(self, said, heard): ...      # each 20 ms: 160 samples of each side
        def voice(self, frame, probability): ...   # each 32 ms of what was said: is it speech?
        def end(self, cause): ...             # once; no audio comes any more

It is entered under a name in `irisx/media/process.py` (`CONSUMERS`). What it finds out it tells
the engine by `tap.report("utterance", {...})`, at once and from anywhere; `tap.close()` ends the
tap. All its methods run in the reader's greenlet, for all calls in turn: they must not wait. What
takes longer than a millisecond goes into a greenlet of the consumer's own (`gevent.spawn`), and
CPU work from there into a thread (`irisx.media.synthesis.in_thread`).

What the engine tells it meanwhile comes as `told(type, data)`.

The engine's side is `irisx/telephony/taps.py`: `start(switch, call, "name", args, stereo=True)`
begins a tap, and the reports come, in order and in the call's own greenlet, to the function that
`irisx/telephony/engine.py` has for the name (`_LISTENERS`). The last report of each tap has the
type `ended` and a `cause`.
"""

from irisx.media.taps.consumer import Cause, Consumer, Tap
from irisx.media.taps.messages import Report, Start, Stop, Tell

__all__ = ["Cause", "Consumer", "Report", "Start", "Stop", "Tap", "Tell"]
