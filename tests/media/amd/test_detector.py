"""Verdicts on signals made here: tones by their standards, speech by the product's synthesiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irisx.media.amd import AmdMode, Cause, Detector, Result, Settings, Verdict
from irisx.media.amd.frames import RATE, Samples
from irisx.media.amd.recordings import classify
from tests.media.amd.signals import chunk_sizes, noise, pcm, silence, speech, tone

HELLO = "Hello?"
GREETING = (
    "Hi, you have reached David Miller. I can not take your call right now. "
    "Please leave your name and number after the tone."
)
BALANCED = Settings.model_validate({})
MESSAGE_END = Settings.model_validate({"mode": "message_end"})


def machine_with_beep(hz: float = 1000.0, seconds: float = 0.4, gap: float = 0.7) -> Samples:
    return pcm(silence(0.5), speech(GREETING), silence(gap), tone(seconds, hz), silence(2))


def sit() -> Samples:
    """Intercept (ITU-T E.180): 914, 1371 and 1777 Hz, then an announcement."""
    tones = [tone(s, hz) for hz, s in ((913.8, 0.274), (1370.6, 0.274), (1776.7, 0.38))]
    return pcm(silence(0.4), *tones, silence(0.3), speech(GREETING))


def test_a_short_hello_and_a_pause_is_a_human() -> None:
    verdict = classify(pcm(silence(0.8), speech(HELLO), silence(3)), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.HUMAN, Cause.AFTER_GREETING_SILENCE)
    assert verdict.decided_after_speech_ms is not None
    spoken = len(speech(HELLO)) * 1000 // RATE
    pause = verdict.decided_after_speech_ms - spoken
    assert abs(pause - BALANCED.after_greeting_silence) < 250
    assert abs(verdict.decided_at_ms - verdict.decided_after_speech_ms - 800) < 150


def test_a_long_greeting_is_a_machine() -> None:
    verdict = classify(machine_with_beep(), BALANCED)
    assert verdict.result is Result.MACHINE
    assert verdict.cause in (Cause.GREETING_LENGTH, Cause.MAXIMUM_WORDS)
    assert verdict.decided_at_ms < 4000


@pytest.mark.parametrize("hz", [440.0, 620.0, 1000.0, 1400.0, 2000.0])
@pytest.mark.parametrize(("seconds", "gap"), [(0.2, 0.7), (0.4, 0.708), (1.0, 0.717), (0.3, 0.725)])
def test_the_beep_is_timed(hz: float, seconds: float, gap: float) -> None:
    """Wherever it begins within a frame of 32 ms."""
    verdict = classify(machine_with_beep(hz, seconds, gap), BALANCED)
    start = (0.5 + len(speech(GREETING)) / RATE + gap) * 1000
    assert verdict.beep_at_ms is not None and verdict.beep_end_ms is not None
    assert abs(verdict.beep_at_ms - start) < 20
    assert abs(verdict.beep_end_ms - start - seconds * 1000) < 20


def test_somebody_in_the_background_is_not_the_callee() -> None:
    hello, background = pcm(silence(0.8), speech(HELLO), silence(3.5)), pcm(speech(GREETING))
    length = min(len(hello), len(background))
    mixed = hello[:length] + (background[:length] * 0.04).astype(np.int16)
    assert classify(mixed, BALANCED).result is Result.HUMAN


def test_voices_around_the_callee_are_not_his() -> None:
    """A babble of six voices 12 dB below a short hello is the noise of his line."""
    texts = (GREETING, "One two three four five six seven eight nine ten.", GREETING[20:])
    voices = [np.resize(speech(text), 6 * RATE) for text in texts * 2]
    babble = sum((np.roll(v, i * 3100) for i, v in enumerate(voices)), silence(6)) / 6**0.5
    hello = speech(HELLO)
    babble[RATE : RATE + len(hello)] += 4 * hello
    verdict = classify(pcm(0.5 * babble), BALANCED)
    assert verdict.result is Result.HUMAN
    assert verdict.features["start"] > 900


@pytest.mark.parametrize("hz", [440.0, 620.0, 1000.0])
def test_a_beep_in_noise_is_heard_though_it_sounds_like_a_voice(hz: float) -> None:
    audio = machine_with_beep(hz, seconds=0.6) / 32768
    heard = classify(pcm(audio + noise(len(audio) / RATE, -32)), BALANCED)
    quiet = classify(machine_with_beep(hz, seconds=0.6), BALANCED)
    assert heard.beep_at_ms is not None and quiet.beep_at_ms is not None
    assert abs(heard.beep_at_ms - quiet.beep_at_ms) <= 32
    assert heard.beep_end_ms == quiet.beep_end_ms


@pytest.mark.parametrize("lost_at", range(0, 400, 20))
def test_a_beep_that_lost_a_packet_is_one_beep(lost_at: int) -> None:
    """20 ms of silence in a beep of 0.6 s, wherever they are: it ends when it ends."""
    audio = machine_with_beep(seconds=0.6)
    whole = classify(audio, BALANCED)
    assert whole.beep_at_ms is not None
    first = (whole.beep_at_ms + 100 + lost_at) * RATE // 1000
    audio[first : first + RATE // 50] = 0
    broken = classify(audio, BALANCED)
    assert (broken.beep_at_ms, broken.beep_end_ms) == (whole.beep_at_ms, whole.beep_end_ms)


def test_message_end_answers_once_the_beep_is_over() -> None:
    audio = machine_with_beep()
    detector = Detector(MESSAGE_END)
    answered, verdict = 0, None
    while verdict is None:
        verdict = detector.feed(audio[answered : answered + 160])
        answered += 160
    assert verdict.result is Result.MACHINE
    assert verdict.beep_end_ms is not None and verdict.beep_end_ms > verdict.decided_at_ms
    assert 0 <= answered * 1000 / RATE - verdict.beep_end_ms < 100


def test_message_end_goes_on_without_a_beep() -> None:
    verdict = classify(pcm(speech(GREETING), silence(8)), MESSAGE_END)
    assert verdict.result is Result.MACHINE
    assert verdict.beep_at_ms is None


def test_special_information_tones_are_a_machine() -> None:
    verdict = classify(sit(), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.MACHINE, Cause.SIT)
    assert verdict.decided_at_ms < 1500


@pytest.mark.parametrize("db", [-40.0, -15.0, -6.0])
def test_a_called_fax_machine_is_a_fax(db: float) -> None:
    verdict = classify(pcm(silence(0.3), tone(3, 2100, db=db), silence(2)), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.FAX, Cause.FAX_CED)


def test_an_answer_tone_with_phase_reversals_is_a_fax() -> None:
    """ANSam (ITU-T V.8): the phase turns each 450 ms, the level swings by a fifth at 15 Hz."""
    half = tone(0.45, 2100)
    wave = np.concatenate([half, -half] * 4)
    swing = 1 + 0.2 * np.sin(2 * np.pi * 15 * np.arange(len(wave)) / RATE)
    assert classify(pcm(silence(0.3), wave * swing), BALANCED).result is Result.FAX


def test_a_calling_fax_machine_is_a_fax() -> None:
    bursts = [part for _ in range(2) for part in (tone(0.5, 1100), silence(3))]
    verdict = classify(pcm(silence(0.7), *bursts), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.FAX, Cause.FAX_CNG)


def test_ringing_after_the_answer_is_waited_for() -> None:
    """A switchboard answers and rings on (US ringing: 440 and 480 Hz, 2 s on, 4 s off)."""
    ring = [tone(2, 440, 480, db=-19), silence(4)]
    audio = pcm(silence(0.2), *ring, *ring, speech(HELLO), silence(3))
    verdict = classify(audio, BALANCED)
    assert verdict.result is Result.HUMAN
    assert verdict.decided_at_ms > 12_000


@pytest.mark.parametrize("hz", [(350, 440), (1004,)])
def test_an_endless_tone_ends_the_waiting(hz: tuple[float, ...]) -> None:
    verdict = classify(pcm(tone(62, *hz)), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.UNKNOWN, Cause.TOTAL_ANALYSIS_TIME)


def test_music_is_nobody_yet() -> None:
    """Chords of three notes with overtones, two a second, that die away."""
    chords = ((262, 330, 392), (294, 349, 440), (247, 294, 392), (330, 415, 494)) * 3
    bars = [
        sum((tone(0.5, n, 2 * n, 3 * n, db=-26) for n in notes), silence(0.5))
        * np.exp(-3 * np.arange(RATE // 2) / RATE)
        for notes in chords
    ]
    verdict = classify(pcm(*bars), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.UNKNOWN, Cause.MUSIC)
    assert verdict.decided_at_ms < 6500


@given(st.floats(-90, -10), st.floats(0, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_silence_and_noise_are_never_a_human(db: float, seconds: float, seed: int) -> None:
    verdict = classify(pcm(noise(seconds, db, seed)), BALANCED)
    assert verdict.result is Result.SILENCE
    assert verdict.decided_at_ms <= BALANCED.initial_silence + 32


@given(st.floats(100, 3800), st.floats(-50, -3), st.floats(0.05, 6))
@settings(max_examples=25, deadline=None)
def test_a_tone_is_never_a_human(hz: float, db: float, seconds: float) -> None:
    verdict = classify(pcm(silence(0.3), tone(seconds, hz, db=db), silence(5)), BALANCED)
    assert verdict.result in (Result.SILENCE, Result.FAX)


@given(chunk_sizes, st.sampled_from([AmdMode.BALANCED, AmdMode.MESSAGE_END]))
@settings(max_examples=20, deadline=None)
def test_the_verdict_does_not_depend_on_the_chunks(sizes: list[int], mode: AmdMode) -> None:
    audio = machine_with_beep()
    chosen = Settings.model_validate({"mode": mode})
    whole, cut = Detector(chosen), Detector(chosen)
    expected = whole.feed(audio) or whole.close()
    verdicts: list[Verdict] = []
    at = 0
    for size in [*sizes, len(audio)]:
        if verdict := cut.feed(audio[at : at + size]):
            verdicts.append(verdict)
        at += size
    if verdict := cut.close():
        verdicts.append(verdict)
    assert verdicts == [expected]
    assert cut.beep == whole.beep


@pytest.mark.parametrize("gain_db", [-6.0, -3.0, 3.0, 6.0])
def test_the_verdict_survives_another_level(gain_db: float) -> None:
    for audio in (pcm(silence(0.8), speech(HELLO), silence(3)), machine_with_beep(), sit()):
        quieter = audio.astype(np.float64) / 32768 * 10 ** (gain_db / 20)
        assert classify(pcm(quieter), BALANCED).result is classify(audio, BALANCED).result


@given(st.lists(st.integers(-32768, 32767), max_size=2000), st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_any_samples_have_one_verdict(samples: list[int], repeats: int) -> None:
    detector = Detector(BALANCED)
    audio = np.tile(np.array(samples, np.int16), repeats)
    assert isinstance(detector.feed(audio) or detector.close(), Verdict)
    assert detector.close() is None


def test_nothing_is_silence() -> None:
    verdict = Detector(BALANCED).close()
    assert verdict is not None
    assert (verdict.result, verdict.decided_at_ms) == (Result.SILENCE, 0)


def test_audio_that_ends_within_a_word_is_unknown() -> None:
    verdict = classify(pcm(silence(0.5), speech(HELLO)), BALANCED)
    assert (verdict.result, verdict.cause) == (Result.UNKNOWN, Cause.AUDIO_ENDED)
    assert verdict.confidence == 0


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="8000 Hz"):
        Detector(BALANCED, rate=16_000)


class TestEachSetting:
    """One number moves one thing."""

    def test_initial_silence(self) -> None:
        verdict = classify(pcm(silence(6)), Settings.model_validate({"initial_silence": 1500}))
        assert verdict.result is Result.SILENCE
        assert abs(verdict.decided_at_ms - 1500) <= 32

    def test_greeting_length(self) -> None:
        audio = pcm(speech(GREETING), silence(3))
        short, long = (
            classify(audio, Settings.model_validate({"greeting_length": ms, "maximum_words": 100}))
            for ms in (600, 2500)
        )
        assert short.cause is long.cause is Cause.GREETING_LENGTH
        # Two frames at a time where the noise of the line is judged anew.
        assert short.features["voiced"] == pytest.approx(600, abs=64)
        assert long.features["voiced"] == pytest.approx(2500, abs=32)

    def test_after_greeting_silence(self) -> None:
        audio = pcm(speech(HELLO), silence(0.9), speech(HELLO), silence(3))
        early = classify(audio, Settings.model_validate({"after_greeting_silence": 500}))
        late = classify(
            audio, Settings.model_validate({"after_greeting_silence": 2000, "maximum_words": 9})
        )
        assert early.result is late.result is Result.HUMAN
        assert late.decided_at_ms - early.decided_at_ms > 2000

    def test_total_analysis_time_counts_from_the_first_speech(self) -> None:
        chosen = {"total_analysis_time": 1000, "greeting_length": 9000, "maximum_words": 100}
        verdict = classify(pcm(silence(2), speech(GREETING)), Settings.model_validate(chosen))
        assert (verdict.result, verdict.cause) == (Result.UNKNOWN, Cause.TOTAL_ANALYSIS_TIME)
        assert verdict.decided_after_speech_ms == pytest.approx(1000, abs=64)

    def test_words(self) -> None:
        audio = pcm(*[part for _ in range(4) for part in (speech(HELLO), silence(0.4))])
        chosen = {"greeting_length": 9000, "between_words_silence": 150, "maximum_words": 3}
        verdict = classify(audio, Settings.model_validate(chosen))
        assert verdict.cause is Cause.MAXIMUM_WORDS
        assert verdict.features["words"] == 4
        run_together = chosen | {"between_words_silence": 700}
        assert classify(audio, Settings.model_validate(run_together)).features["words"] == 1
        too_short = chosen | {"minimum_word_length": 1500}
        assert classify(audio, Settings.model_validate(too_short)).features["words"] == 0
