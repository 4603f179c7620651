"""Both storages keep, link and forget the same way."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from irisx.kernel import storage as module
from irisx.kernel.storage import FILE, StorageError, storage, storage_of
from irisx.settings import get_settings

NAME = "2026/02/17/1/CA1-1.wav"


@pytest.fixture
def keep_in(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    def set_url(url: str) -> None:
        monkeypatch.setenv("IRISX_RECORDINGS_URL", url)
        get_settings.cache_clear()
        module._s3.cache_clear()

    yield set_url
    monkeypatch.undo()
    get_settings.cache_clear()
    module._s3.cache_clear()


@pytest.fixture
def bucket(keep_in, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an S3 service's bucket `calls`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="calls")
    keep_in(f"s3://calls/eu/main?endpoint={endpoint}&region=us-east-1")
    yield endpoint
    server.stop()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.wav"
    path.write_bytes(b"RIFF" + bytes(1000))
    return path


def test_a_bucket_keeps_links_and_forgets(bucket: str, source: Path, tmp_path: Path) -> None:
    location = storage().put(source, NAME, "audio/wav")
    assert location == f"s3://calls/eu/main/{NAME}"
    url = storage_of(location).link(location, "audio/wav", 60)
    answer = requests.get(url, headers={"Range": "bytes=0-3"}, timeout=5)
    assert (answer.content, answer.headers["Content-Type"]) == (b"RIFF", "audio/wav")
    storage().put(source, NAME, "audio/wav")  # once more is harmless
    copied = tmp_path / "copied"
    copied.mkdir()
    fetched = storage_of(location).fetch(location, copied)
    assert fetched.read_bytes() == source.read_bytes()

    storage_of(location).delete(location)
    storage_of(location).delete(location)
    assert requests.get(url, timeout=5).status_code in (403, 404)


def test_a_bucket_that_is_away_leaves_the_source(keep_in, bucket: str, source: Path) -> None:
    keep_in("s3://nowhere/x?endpoint=http://127.0.0.1:1&region=us-east-1")
    with pytest.raises(StorageError):
        storage().put(source, NAME, "audio/wav")
    keep_in(f"s3://no-such-bucket?endpoint={bucket}&region=us-east-1")
    with pytest.raises(StorageError):
        storage().put(source, NAME, "audio/wav")
    assert source.exists()


def test_a_directory_keeps_links_and_forgets(keep_in, source: Path, tmp_path: Path) -> None:
    keep_in(f"file://{tmp_path}/kept")
    location = storage().put(source, NAME, "audio/wav")
    path = storage_of(location).link(location, "audio/wav", 60)
    assert isinstance(path, Path)
    assert path == tmp_path / "kept" / NAME
    assert path.read_bytes() == source.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]

    storage_of(location).delete(location)
    storage_of(location).delete(location)
    assert not path.exists()


def test_a_file_that_is_in_its_place_stays_there(keep_in, tmp_path: Path) -> None:
    keep_in(f"file://{tmp_path}")
    source = tmp_path / NAME
    source.parent.mkdir(parents=True)
    source.write_bytes(b"sound")
    assert storage().put(source, NAME, "audio/wav") == FILE + str(source)
    assert source.read_bytes() == b"sound"


@pytest.mark.parametrize("name", ["../outside.wav", "a/../../outside.wav", "/etc/outside.wav"])
def test_no_name_leads_out_of_the_directory(keep_in, source, tmp_path: Path, name: str) -> None:
    keep_in(f"file://{tmp_path}/kept")
    with pytest.raises(StorageError):
        storage().put(source, name, "audio/wav")
    assert not (tmp_path / "outside.wav").exists()


def test_a_full_disk_leaves_the_source_and_no_half_file(
    keep_in, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in(f"file://{tmp_path}/kept")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        storage().put(source, NAME, "audio/wav")
    assert source.exists()
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("url", ["gs://bucket", "s3://", "file://", "nonsense"])
def test_another_url_is_refused(keep_in, url: str) -> None:
    keep_in(url)
    with pytest.raises(StorageError, match="IRISX_RECORDINGS_URL"):
        storage()
