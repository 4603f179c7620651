"""The file that the switch writes a tap into, read while it grows."""

import ctypes
import os
from pathlib import Path

_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02  # linux/falloc.h
_GIVE_BACK_BYTES = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class GrowingFile:
    """Opened, and its name removed, as soon as it is there.

    Whoever else has it open goes on writing, and when the last one closes it, it is gone. What was
    read is given back, a megabyte at a time, so that a long call's tap takes no more than that.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError; FileNotFoundError while it is not there yet."""
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, os.O_RDWR | flags)
        except PermissionError:  # the switch's user lets others read only
            self._descriptor = os.open(path, os.O_RDONLY | flags)
        path.unlink(missing_ok=True)
        self._given_back = 0
        self.position = 0

    @property
    def unread(self) -> int:
        """Bytes that wait to be read."""
        return os.fstat(self._descriptor).st_size - self.position

    def read(self, limit: int) -> bytes:
        """What was written since, up to so many bytes; nothing when there is nothing new."""
        data = os.pread(self._descriptor, limit, self.position)
        self.skip(len(data))
        return data

    def skip(self, size: int) -> None:
        self.position += size
        length = self.position - self._given_back
        if length >= _GIVE_BACK_BYTES:
            # Where it is not possible or not allowed the bytes stay until the end.
            _libc.fallocate(self._descriptor, _KEEP_SIZE_PUNCH_HOLE, self._given_back, length)
            self._given_back = self.position

    def close(self) -> None:
        os.close(self._descriptor)
