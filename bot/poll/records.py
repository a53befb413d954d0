"""The API's records: JSON text to checked records, and back. Pure; msgspec's home."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import msgspec

from bot.errors import ApiError, ConfigError
from bot.model import ACTOR_ABSENT, IP_ABSENT, Broken, Record
from bot.times import parse_time

LINE_LIMIT = 1 << 20  # bytes of one imported line


class ApiRecord(msgspec.Struct, rename="camel"):
    """One record as the API describes it; UNSET tells an absent field from null."""

    action: str
    object_identifier: str
    object_type: str
    timestamp: str
    actor_identifier: str | msgspec.UnsetType | None = msgspec.UNSET
    ip_address: str | msgspec.UnsetType | None = msgspec.UNSET


class Page(msgspec.Struct, rename="camel"):
    """One page of the API's answer; its records are still raw."""

    logs: list[msgspec.Raw]
    page: int
    total: int
    total_pages: int = 0


_PAGE = msgspec.json.Decoder(Page)
_RECORD = msgspec.json.Decoder(ApiRecord)
_ENCODE = msgspec.json.Encoder().encode


def parse_page(body: bytes, number: int) -> tuple[list[Record | Broken], int]:
    """Return the records of page `number`, in order, and the total of the window. Raises ApiError."""
    try:
        page = _PAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(f"The portal's answer is not the JSON that is described ({error}): {body[:60]!r}") from error
    if page.page != number or page.total < 0:
        raise ApiError(f"The portal answered page {page.page} of total {page.total} when asked for page {number}")
    return [parse_record(raw) for raw in page.logs], page.total


def parse_record(raw: bytes | msgspec.Raw) -> Record | Broken:
    """Return one record, or its raw text with the reason why it cannot be read."""
    try:
        r = _RECORD.decode(raw)
        time = parse_time(r.timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, OverflowError) as error:
        return Broken(bytes(raw).decode("utf-8", "replace"), str(error))
    actor, ip, shape = r.actor_identifier, r.ip_address, 0
    if actor is msgspec.UNSET:
        actor, shape = None, ACTOR_ABSENT
    if ip is msgspec.UNSET:
        ip, shape = None, shape | IP_ABSENT
    identity = _ENCODE((r.action, actor, ip, r.object_identifier, r.object_type, r.timestamp, shape))
    return Record(time, r.action, actor, ip, r.object_identifier, r.object_type, r.timestamp, shape, identity)


def to_json(record: Record) -> bytes:
    """Return a record in the API's own shape, with null and absent as they came."""
    plain: dict[str, str | None] = {"action": record.action}
    if not record.shape & ACTOR_ABSENT:
        plain["actorIdentifier"] = record.actor
    if not record.shape & IP_ABSENT:
        plain["ipAddress"] = record.ip
    plain |= {"objectIdentifier": record.object, "objectType": record.type, "timestamp": record.raw_time}
    return _ENCODE(plain)


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file, gzipped or not. Raises ConfigError where the file is cut off or damaged."""
    unpack = None
    rest = file.read(1 << 16)
    if rest[:2] == b"\x1f\x8b":
        unpack = zlib.decompressobj(31)
    waiting = b""
    try:
        while rest:
            waiting += unpack.decompress(rest) if unpack else rest
            if unpack and unpack.eof and unpack.unused_data:  # members may follow one another
                rest, unpack = unpack.unused_data, zlib.decompressobj(31)
            else:
                rest = file.read(1 << 16)
            *lines, waiting = waiting.split(b"\n")
            yield from filter(bytes.strip, lines)
            if len(waiting) > LINE_LIMIT:
                raise ConfigError(f"A line is longer than {LINE_LIMIT:,} bytes: is this a file of JSON lines?")
    except zlib.error as error:
        raise ConfigError(f"The file is damaged ({error}): fetch it again. What came before it is stored.") from error
    if unpack and not unpack.eof:
        raise ConfigError("The file is cut off in the middle: fetch it again. What came before it is stored.")
    if waiting.strip():
        yield waiting


def open_file(path: Path) -> BinaryIO:
    """Open a file to import. Raises ConfigError with what to do."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}. Give a file of JSON lines, or - for standard input.") from error


def read_files(names: Iterable[str]) -> Iterator[Record | Broken]:
    """Yield the records of files, `-` being standard input, in order. Raises ConfigError, all files looked at first."""
    paths = [None if name == "-" else Path(name) for name in names]
    for path in paths:
        if path is not None:
            open_file(path).close()
    for path in paths:
        with nullcontext(sys.stdin.buffer) if path is None else open_file(path) as file:
            yield from map(parse_record, read_lines(file))
