"""Writes a small MaxMind DB file (format 2.0), so that tests need nobody's data."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

SIZE = 24  # bits of a record of the search tree


def write(path: Path, networks: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write a database that knows these networks, IPv4 ones as ::/96 has them."""
    tree: list[list[int | bytes | None]] = [[None, None]]
    for text, record in networks.items():
        network = ip_network(text)
        bits = int(network.network_address)
        length = network.prefixlen + (96 if network.version == 4 else 0)
        node = 0
        for place in range(length):
            bit = bits >> (127 - place) & 1
            if place == length - 1:
                tree[node][bit] = _encode(record)
                break
            below = tree[node][bit]
            if not isinstance(below, int):
                tree.append([None, None])
                below = tree[node][bit] = len(tree) - 1
            node = below
    nodes, data = b"", b""
    for pair in tree:
        for cell in pair:
            if isinstance(cell, bytes):
                value = len(tree) + 16 + len(data)
                data += cell
            else:
                value = len(tree) if cell is None else cell
            nodes += value.to_bytes(SIZE // 8, "big")
    about = {
        "node_count": len(tree), "record_size": SIZE, "ip_version": 6, "database_type": "test", "languages": [],
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "description": {},
    }  # fmt: skip
    path.write_bytes(nodes + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + _encode(about))
    return path


def _encode(value: Any) -> bytes:
    if isinstance(value, str):
        return _control(2, len(value.encode())) + value.encode()
    if isinstance(value, Mapping):
        return _control(7, len(value)) + b"".join(_encode(key) + _encode(one) for key, one in value.items())
    if isinstance(value, list):
        return _control(11, len(value)) + b"".join(map(_encode, value))
    raw = int(value).to_bytes((int(value).bit_length() + 7) // 8, "big")
    return _control(6, len(raw)) + raw


def _control(kind: int, size: int) -> bytes:
    small = min(size, 29)
    first = bytes([kind << 5 | small]) if kind <= 7 else bytes([small, kind - 7])
    return first + (bytes([size - 29]) if size >= 29 else b"")
