"""Where big files are kept: a directory, or a bucket of an S3-compatible service.

What `put` returns, the location, is kept in a row and says by itself where the bytes are, so that
files stored before a change of `IRISX_RECORDINGS_URL` are still found.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from irisx.settings import get_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FILE = "file://"
S3 = "s3://"


class StorageError(Exception):
    """The storage is away, full or refuses us. The source file is untouched; try again later."""


class Storage(Protocol):
    """Keeps files under names such as `2026/02/17/1/CA…-1.wav`."""

    def put(self, source: Path, name: str, content_type: str) -> str:
        """Keep the file's bytes, durably; the location. Repeating it is harmless."""

    def get(self, location: str, target: Path) -> None:
        """Copy the bytes to a local file."""

    def delete(self, location: str) -> None:
        """Remove the bytes; nothing happens if they are gone already."""

    def link(self, location: str, content_type: str, seconds: int) -> Path | str:
        """How to read the bytes: a local file, or a URL that works for so long."""

    def fetch(self, location: str, directory: Path) -> Path:
        """The bytes as a local file, copied into `directory` where they are elsewhere."""


def storage() -> Storage:
    """Where new files go."""
    settings = get_settings()
    url = settings.recordings_url
    if url is None:
        return Directory(settings.recording_path)
    parts = urlsplit(url)
    if url.startswith(FILE) and parts.path:
        return Directory(Path(unquote(parts.path)))
    if url.startswith(S3) and parts.netloc:
        return Bucket(parts.netloc, parts.path.strip("/"))
    raise StorageError("IRISX_RECORDINGS_URL must be s3://bucket/prefix or file:///directory")


def storage_of(location: str) -> Storage:
    """What keeps the bytes of a location."""
    if location.startswith(S3):
        return Bucket(urlsplit(location).netloc, "")
    return Directory(Path("/"))


class Directory:
    """A directory of this machine, or one that it mounts. A location is `file:///path`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, source: Path, name: str, content_type: str) -> str:
        target = (self._root / name).absolute()
        if not target.is_relative_to(self._root.absolute()) or ".." in Path(name).parts:
            raise StorageError(f"{name!r} is outside of the storage")
        if target != source.absolute():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(source, target)
            except OSError as error:
                raise StorageError(f"{self._root}: {error.strerror}") from error
        return FILE + str(target)

    def get(self, location: str, target: Path) -> None:
        try:
            shutil.copyfile(location.removeprefix(FILE), target)
        except OSError as error:
            raise StorageError(f"{location}: {error.strerror}") from error

    def delete(self, location: str) -> None:
        try:
            Path(location.removeprefix(FILE)).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{location}: {error.strerror}") from error

    def link(self, location: str, content_type: str, seconds: int) -> Path | str:
        return Path(location.removeprefix(FILE))

    def fetch(self, location: str, directory: Path) -> Path:
        return Path(location.removeprefix(FILE))


def _copy(source: Path, target: Path) -> None:
    """A reader sees all of the file or nothing of it, also after a power cut."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with source.open("rb") as data, partial.open("wb") as copy:
            shutil.copyfileobj(data, copy, 1024 * 1024)
            copy.flush()
            os.fsync(copy.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class Bucket:
    """A bucket. A location is `s3://bucket/key`; credentials are AWS's usual environment."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def put(self, source: Path, name: str, content_type: str) -> str:
        key = f"{self._prefix}/{name}".lstrip("/")
        with _s3_errors():
            extra = {"ContentType": content_type}
            _s3().upload_file(str(source), self._bucket, key, ExtraArgs=extra)
        return f"{S3}{self._bucket}/{key}"

    def get(self, location: str, target: Path) -> None:
        with _s3_errors():
            _s3().download_file(self._bucket, _key(location), str(target))

    def delete(self, location: str) -> None:
        with _s3_errors():
            _s3().delete_object(Bucket=self._bucket, Key=_key(location))

    def link(self, location: str, content_type: str, seconds: int) -> Path | str:
        what = {
            "Bucket": self._bucket,
            "Key": _key(location),
            "ResponseContentType": content_type,
        }
        with _s3_errors():
            return _s3().generate_presigned_url("get_object", Params=what, ExpiresIn=seconds)

    def fetch(self, location: str, directory: Path) -> Path:
        target = directory / Path(_key(location)).name
        with _s3_errors():
            _s3().download_file(self._bucket, _key(location), str(target))
        return target


def _key(location: str) -> str:
    return urlsplit(location).path.lstrip("/")


@contextmanager
def _s3_errors() -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        raise StorageError(str(error)) from error


@lru_cache
def _s3() -> "S3Client":
    """The client, made once: reading its service description takes a third of a second."""
    import boto3
    from botocore.config import Config

    given = parse_qs(urlsplit(get_settings().recordings_url or "").query)
    return boto3.client(
        "s3",
        endpoint_url=given.get("endpoint", [None])[0],
        region_name=given.get("region", [None])[0],
        config=Config(
            signature_version="s3v4",
            connect_timeout=5,
            read_timeout=30,
            retries={"max_attempts": 2},
        ),
    )
