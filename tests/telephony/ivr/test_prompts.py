"""What a flow's audio is played from, with the real media process and a real server."""

import os
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import soundfile

from irisx.kernel.redis import redis
from irisx.media import cache, client
from irisx.media.process import Media
from irisx.settings import get_settings
from irisx.telephony.ivr import prompt_jobs, prompts, service
from irisx.telephony.ivr.audio import AudioUrl, Say, SayAs, Silence, Text, UploadedPrompt
from irisx.telephony.ivr.prompts import NotThere, file_of, is_at_hand
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import Tenant
from tests.api.v1.test_ivr_prompts import audio
from tests.receiver import Answer, receiving
from tests.waiting import wait_until


@pytest.fixture
def media() -> Iterator[Media]:
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: redis().exists(client.ALIVE))
    yield media
    media.stop()
    greenlet.get(timeout=5)


@pytest.fixture(autouse=True)
def forgetful() -> None:
    prompts._spoken_already.clear()


def duration(path: str) -> float:
    return float(soundfile.info(path).duration)


def test_a_text_is_spoken_once_and_at_hand_then(media: Media, tenant: Tenant) -> None:
    item = Text(text="Hello there")
    assert not is_at_hand(item)
    narrow = file_of(item, tenant.id, wideband=False)
    assert is_at_hand(item)
    wide = file_of(item, tenant.id, wideband=True)
    assert (soundfile.info(narrow).samplerate, soundfile.info(wide).samplerate) == (8000, 16_000)
    assert duration(narrow) > 0.3


def test_a_value_is_spoken_in_words(media: Media, tenant: Tenant) -> None:
    value = Say(say="42", as_=SayAs.NUMBER)
    spoken = file_of(value, tenant.id, wideband=False)
    assert spoken == file_of(Text(text="forty-two"), tenant.id, wideband=False)


def test_without_the_media_process_a_text_is_not_there(tenant: Tenant) -> None:
    with pytest.raises(NotThere, match="media process"):
        file_of(Text(text="Hello there"), tenant.id, wideband=False)


def test_an_uploaded_prompt_is_its_tenants_alone(tenant: Tenant, make_tenant: Any) -> None:
    row = prompts.upload(SYSTEM, tenant.id, "Hello", audio(seconds=0.4))
    item = UploadedPrompt(prompt=row.public_id)
    assert duration(file_of(item, tenant.id, wideband=False)) == pytest.approx(0.4, abs=0.02)
    with pytest.raises(NotThere):
        file_of(item, make_tenant("Other").id, wideband=False)


def test_audio_of_a_url_is_fetched_once(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    with receiving(lambda request: Answer(200, body=audio("OGG", 0.3))) as server:
        item = AudioUrl(url=f"{server.url}/hello.ogg")
        first = file_of(item, tenant.id, wideband=False)
        assert file_of(item, tenant.id, wideband=False) == first
        assert len(server.received) == 1
    assert duration(first) == pytest.approx(0.3, abs=0.05)


def test_where_its_server_fails_the_last_audio_is_played(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get_settings(), "allowed_private_hosts", "127.0.0.1")
    answers = iter([Answer(200, body=audio()), Answer(500), Answer(200, body=b"no audio")])
    with receiving(lambda request: next(answers)) as server:
        item = AudioUrl(url=f"{server.url}/hello.wav")
        first = file_of(item, tenant.id, wideband=False)
        for _ in range(2):
            os.utime(first, (0, time.time() - 301))
            assert file_of(item, tenant.id, wideband=False) == first
        assert len(server.received) == 3


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.wav", "http://[::1]/a.wav", "file:///a.wav"])
def test_a_url_that_is_not_public_is_not_there(tenant: Tenant, url: str) -> None:
    with pytest.raises(NotThere):
        file_of(AudioUrl(url=url), tenant.id, wideband=False)


def test_silence_is_as_long_as_asked(tenant: Tenant) -> None:
    assert duration(file_of(Silence(silence_ms=240), tenant.id, wideband=True)) == 0.24


FLOW = {
    "name": "Speaks",
    "entry_point": "a",
    "nodes": [
        {"id": "a", "type": "play", "config": {"text": "Welcome to us."}, "next": "b"},
        {"id": "b", "type": "play", "config": {"text": "You are {{ caller.number }}."}},
    ],
}


def test_fixed_texts_are_spoken_when_a_flow_is_published(media: Media, tenant: Tenant) -> None:
    draft = service.create(SYSTEM, tenant.id, FLOW, publish=False)
    assert not prompt_jobs.speak_published()
    service.publish(SYSTEM, tenant.id, draft.flow.id, draft.version.number)
    assert prompt_jobs.speak_published()
    assert is_at_hand(Text(text="Welcome to us."))
    assert not prompt_jobs.speak_published()
    assert list(prompts._spoken_already) == [("Welcome to us.", None, None)]


def test_a_flow_is_spoken_when_the_media_process_is_back(tenant: Tenant) -> None:
    service.create(SYSTEM, tenant.id, FLOW, publish=True)
    assert not prompt_jobs.speak_published()
    media = Media()
    greenlet = gevent.spawn(media.run)
    wait_until(lambda: redis().exists(client.ALIVE))
    assert prompt_jobs.speak_published()
    media.stop()
    greenlet.get(timeout=5)
    assert any(cache._root().glob("*/*.wav"))
