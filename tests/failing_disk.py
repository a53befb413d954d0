"""A disk that fails as told, or loses its power: SQLite's own interface to files, its writes and syncs in our hand.

No privileges and no tools are needed: a VFS of ours is put before SQLite's, in this process alone. Opening a file goes
to SQLite's own VFS; of what that gives, writing and syncing are replaced.
"""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bot.store import schema

FULL, WRITE_FAILED, SYNC_FAILED = 13, 778, 1034  # SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC
PERMANENT = 0x100 | 0x800 | 0x80000  # the main file, its rollback journal, its WAL
Trouble = Literal["", "full", "write", "sync"]

_P = ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, _P, ctypes.c_int, _P)  # the name is kept as a pointer: SQLite does
_DELETE = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_char_p, ctypes.c_int)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _P, _P, ctypes.c_int, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _P, ctypes.c_int)


class _Vfs(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int), ("file_size", ctypes.c_int), ("longest", ctypes.c_int), ("next", _P),
        ("name", ctypes.c_char_p), ("data", _P), ("open", _P), ("delete", _P), ("others", _P * 13),
    ]  # fmt: skip


class _Methods(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int), ("close", _P), ("read", _P), ("write", _P), ("truncate", _P), ("sync", _P),
        ("others", _P * 13),
    ]  # fmt: skip


@dataclass
class FailingDisk:
    """`trouble` begins after so many more writes or syncs; `synced` are copies of files as of their last good sync."""

    synced: Path
    trouble: Trouble = ""
    after: int = 0
    failures: int = 0
    _names: dict[int, Path] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)  # what C points to must stay alive

    def fail(self, trouble: Trouble, after: int = 0) -> None:
        self.trouble, self.after, self.failures = trouble, after, 0

    def heal(self) -> None:
        self.trouble = ""

    def after_power_loss(self, folder: Path) -> Path:
        """Return a folder as it is after a power failure that took all that was not synced."""
        return self.synced / folder.name

    def _note_synced(self, path: Path) -> None:
        place = self.after_power_loss(path.parent)
        place.mkdir(exist_ok=True)
        shutil.copy(path, place)

    # -- what SQLite calls ------------------------------------------------------------------------------------------
    def _open(self, real: _Vfs, address: int, name: int | None, file: int, flags: int, out: int) -> int:
        code = _OPEN(real.open)(address, name, file, flags, out)
        methods = ctypes.cast(file, ctypes.POINTER(_P))[0] if code == 0 else None
        if methods and name and flags & PERMANENT:
            self._names[file] = path = Path(ctypes.string_at(name).decode())
            if not (self.after_power_loss(path.parent) / path.name).exists():
                self._note_synced(path)  # what it held before is on the disk
            ctypes.cast(file, ctypes.POINTER(_P))[0] = ctypes.addressof(self._replaced(methods))
        return int(code)

    def _delete(self, real: _Vfs, address: int, name: bytes, with_folder: int) -> int:
        path = Path(name.decode())
        (self.after_power_loss(path.parent) / path.name).unlink(missing_ok=True)
        return int(_DELETE(real.delete)(address, name, with_folder))

    def _replaced(self, methods: int) -> _Methods:
        changed = _Methods()
        ctypes.memmove(ctypes.byref(changed), methods, ctypes.sizeof(_Methods))
        write, sync = _WRITE(changed.write), _SYNC(changed.sync)

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            if self._fails("full", "write"):
                write(file, data, size // 2, offset)  # some of it came to the disk
                return FULL if self.trouble == "full" else WRITE_FAILED
            return int(write(file, data, size, offset))

        def on_sync(file: int, flags: int) -> int:
            if self._fails("sync"):
                return SYNC_FAILED
            code = int(sync(file, flags))
            if code == 0:
                self._note_synced(self._names[file])
            return code

        callbacks = _WRITE(on_write), _SYNC(on_sync)
        changed.write, changed.sync = (ctypes.cast(one, _P).value for one in callbacks)
        self._kept += [changed, callbacks]
        return changed

    def _fails(self, *troubles: Trouble) -> bool:
        if self.trouble not in troubles:
            return False
        self.after -= 1
        failed = self.after < 0
        self.failures += failed
        return failed


_FOR_EVER: list[Any] = []  # connections may outlive their test


@contextmanager
def failing_disk(synced: Path) -> Iterator[FailingDisk]:
    """Let every database that is opened inside lie on a disk that fails as told."""
    synced.mkdir()
    library = ctypes.CDLL(getattr(getattr(schema.connect, "__self__", None), "__file__", None))
    find, register, unregister = library.sqlite3_vfs_find, library.sqlite3_vfs_register, library.sqlite3_vfs_unregister
    find.restype, find.argtypes = _P, [ctypes.c_char_p]
    register.argtypes, unregister.argtypes = [_P, ctypes.c_int], [_P]
    address = find(None)
    real = _Vfs.from_address(address)
    disk, ours = FailingDisk(synced), _Vfs()
    ctypes.memmove(ctypes.byref(ours), address, ctypes.sizeof(_Vfs))
    callback = _OPEN(lambda _, name, file, flags, out: disk._open(real, address, name, file, flags, out))
    gone = _DELETE(lambda _, name, with_folder: disk._delete(real, address, name, with_folder))
    ours.name = b"failing"
    ours.open, ours.delete = (ctypes.cast(one, _P).value for one in (callback, gone))
    _FOR_EVER.extend([disk, ours, callback, gone])
    register(ctypes.byref(ours), 1)
    try:
        yield disk
    finally:
        disk.heal()
        unregister(ctypes.byref(ours))
        register(address, 1)
