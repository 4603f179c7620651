"""Turn taking out of voice probabilities."""

from hypothesis import given
from hypothesis import strategies as st

from irisx.intelligence.assistants.listening import (
    FRAME_MS,
    ONSET_FRAMES,
    PAUSE_MS,
    TRANSITIONS,
    Change,
    Listener,
    Phase,
)

END_MS = 608


def changes(*parts: tuple[int, float], end_of_turn_ms: int = END_MS) -> list[tuple[int, Change]]:
    """What a listener says to parts of (milliseconds, probability), each with when it said it."""
    listener = Listener(end_of_turn_ms)
    found = []
    for milliseconds, probability in parts:
        for _ in range(milliseconds // FRAME_MS):
            change = listener.hear(probability)
            if change is not None:
                found.append((listener.now_ms, change))
    return found


def test_a_turn_begins_pauses_and_ends() -> None:
    found = changes((960, 0.0), (1600, 0.9), (1600, 0.0))
    assert [change.phase for _, change in found] == [Phase.SPEAKING, Phase.PAUSED, Phase.QUIET]
    (begun_at, began), (paused_at, paused), (ended_at, ended) = found
    assert (began.speech_ms, begun_at) == (960, 960 + ONSET_FRAMES * FRAME_MS)
    assert (paused.speech_ms, paused_at) == (2560, 2560 + PAUSE_MS)
    assert (ended.speech_ms, ended_at) == (2560, 2560 + END_MS)


def test_a_short_pause_does_not_end_the_turn() -> None:
    found = changes((1600, 0.9), (448, 0.0), (640, 0.9), (1600, 0.0))
    assert [change.phase for _, change in found] == [
        Phase.SPEAKING,
        Phase.PAUSED,
        Phase.SPEAKING,
        Phase.PAUSED,
        Phase.QUIET,
    ]
    assert found[-1][1].speech_ms == 1600 + 448 + 640


def test_a_click_is_no_beginning() -> None:
    assert changes((320, 0.0), (32, 1.0), (320, 0.0), (64, 1.0), (960, 0.0)) == []


def test_faint_ends_of_words_belong_to_the_turn() -> None:
    found = changes((640, 0.9), (320, 0.4), (1600, 0.0))
    assert found[-1][1].speech_ms == 960


probabilities = st.lists(
    st.tuples(st.floats(0, 1), st.integers(1, 40)).map(lambda run: [run[0]] * run[1]), max_size=30
).map(lambda runs: [probability for run in runs for probability in run])


@given(probabilities, st.integers(200, 3000))
def test_whatever_is_heard_phases_follow_the_table(heard: list[float], end_of_turn_ms: int) -> None:
    listener = Listener(end_of_turn_ms)
    phase, ended_ms, last_loud_ms = Phase.QUIET, 0, 0
    for index, probability in enumerate(heard):
        change = listener.hear(probability)
        if probability >= 0.6:
            last_loud_ms = (index + 1) * FRAME_MS
        if change is None:
            continue
        assert change.phase in TRANSITIONS[phase]
        assert 0 <= change.speech_ms <= listener.now_ms
        if phase is Phase.QUIET:
            assert change.speech_ms >= ended_ms
            assert sum(p >= 0.6 for p in heard[: index + 1][-4:]) >= ONSET_FRAMES
        if change.phase is Phase.QUIET:
            ended_ms = change.speech_ms
            assert change.speech_ms >= last_loud_ms  # nothing that was loud is left out
            assert listener.now_ms - ended_ms >= max(end_of_turn_ms - FRAME_MS, PAUSE_MS)
        phase = change.phase
