"""`/v1/ivr/prompts`: what is uploaded is checked by its content and kept at two rates."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from irisx.settings import get_settings
from irisx.telephony.ivr import prompts
from irisx.tenancy.models import Tenant
from tests.api.client import ApiClient


def audio(format: str = "WAV", seconds: float = 0.5, rate: int = 22_050) -> bytes:
    time = np.arange(round(seconds * rate)) / rate
    file = io.BytesIO()
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * 440 * time), rate, format=format)
    return file.getvalue()


def upload(client: ApiClient, content: bytes, name: str = "Hello", status: int = 201) -> Any:
    form = {"name": name, "file": (io.BytesIO(content), "../../etc/passwd.wav")}
    return client.body(client.request("POST", "/v1/ivr/prompts", data=form, status=status))


@pytest.mark.parametrize("format", ["WAV", "MP3", "OGG"])
def test_audio_is_kept_at_8_and_16_khz(client: ApiClient, tenant: Tenant, format: str) -> None:
    made = upload(client, audio(format))
    assert made["source_format"] == format
    assert 450 < made["duration_ms"] < 600
    for rate in (8_000, 16_000):
        path = prompts.uploaded_path(tenant.id, int(made["id"].removeprefix("prm_")), rate)
        info = soundfile.info(str(path))
        assert (info.samplerate, info.channels, info.subtype) == (rate, 1, "PCM_16")
        assert path.is_relative_to(get_settings().home / "prompts")


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"<?xml version='1.0'?>", audio("FLAC"), audio()[:40]],
    ids=["empty", "cut", "xml", "flac", "no sound"],
)
def test_what_is_no_such_audio_is_refused(client: ApiClient, content: bytes) -> None:
    answer = upload(client, content, status=400)
    assert answer["details"][0]["field"] == "file"
    assert client.get("/v1/ivr/prompts")["data"]["pagination"]["total"] == 0


def test_too_long_and_too_large_ones_are_refused(client: ApiClient) -> None:
    assert "longer" in upload(client, audio("WAV", 610, 8_000), status=400)["message"]
    upload(client, b"x" * (prompts.MAX_UPLOAD_BYTES + 1), status=413)


def test_a_name_is_taken_once(client: ApiClient) -> None:
    upload(client, audio())
    assert upload(client, audio(), status=409)["code"] == "PROMPT_NAME_TAKEN"


def test_json_and_a_text_in_the_file_s_place_are_refused(client: ApiClient) -> None:
    client.post("/v1/ivr/prompts", {"name": "a"}, status=415)
    client.request("POST", "/v1/ivr/prompts", data={"name": "a", "file": "b"}, status=415)
    form = {"name": "a", "file": "b", "x": (io.BytesIO(b""), "x")}
    client.request("POST", "/v1/ivr/prompts", data=form, status=400)


def test_listed_with_who_plays_it_and_kept_while_somebody_does(
    client: ApiClient, tenant: Tenant
) -> None:
    used, unused = upload(client, audio(), "a"), upload(client, audio(), "b")
    flow = {
        "name": "Plays",
        "entry_point": "play",
        "nodes": [{"id": "play", "type": "play", "config": {"prompts": [{"prompt": used["id"]}]}}],
        "publish": True,
    }
    made = client.post("/v1/ivr/flows", flow, status=201)
    key = int(unused["id"].removeprefix("prm_"))
    prompts.uploaded_path(tenant.id, key, 8_000).unlink()
    first, second = client.get("/v1/ivr/prompts")["data"]["prompts"]
    assert (first["used_by"], first["unused"], first["missing"]) == ([made["id"]], False, False)
    assert (second["used_by"], second["unused"], second["missing"]) == ([], True, True)
    refused = client.delete(f"/v1/ivr/prompts/{used['id']}", status=409)
    assert refused["code"] == "PROMPT_IN_USE"
    client.delete(f"/v1/ivr/prompts/{unused['id']}")
    assert [row["id"] for row in client.get("/v1/ivr/prompts")["data"]["prompts"]] == [used["id"]]


def test_a_deleted_prompt_leaves_no_file(client: ApiClient, tenant: Tenant) -> None:
    made = upload(client, audio())
    client.delete(f"/v1/ivr/prompts/{made['id']}")
    assert not list((get_settings().home / "prompts" / str(tenant.id)).iterdir())


def test_another_tenant_neither_sees_nor_deletes_it(
    client: ApiClient,
    client_for: Callable[..., ApiClient],
    make_tenant: Callable[..., Tenant],
) -> None:
    made = upload(client, audio())
    other = client_for(make_tenant("Other"), "*")
    assert other.get("/v1/ivr/prompts")["data"]["prompts"] == []
    other.delete(f"/v1/ivr/prompts/{made['id']}", status=404)
