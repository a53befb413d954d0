"""Where an address is and whose: an address database that the team supplies; maxminddb's home."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import ConfigError

if TYPE_CHECKING:
    import maxminddb

REMEDY = "give a MaxMind DB file (.mmdb) of countries or networks, or several with commas between them"


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address in whatever spelling, one that is mapped into IPv6 as itself; None for any other text."""
    try:
        parsed = ip_address(text.strip().split("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None) or parsed


def ip_kind(text: str) -> str:
    """Return public, private (a network of one's own), special (no host of the internet) or unreadable."""
    parsed = parse_address(text)
    if parsed is None:
        return "unreadable"
    if parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified or parsed.is_link_local:
        return "special"
    return "public" if parsed.is_global else "private" if parsed.is_private else "special"


@dataclass(frozen=True)
class AddressBook:
    """One or several address databases; of each fact the first one that knows it is believed."""

    paths: tuple[Path, ...]

    def country(self, text: str) -> str | None:
        """Return the ISO code of the country, like DE."""
        return _first(_country(record) for record in self._records(text))

    def as_name(self, text: str) -> str | None:
        """Return the name of the network's operator."""
        return _first(_as_name(record) for record in self._records(text))

    def check(self) -> None:
        """Open every file. Raises ConfigError."""
        for path in self.paths:
            _reader(path)

    def _records(self, text: str) -> list[Any]:
        parsed = parse_address(text)
        readers = [_reader(path) for path in self.paths] if parsed is not None else []
        fit = [reader for reader in readers if parsed and parsed.version <= reader.metadata().ip_version]
        return [record for reader in fit if isinstance(record := reader.get(str(parsed)), dict)]


NO_ADDRESSES = AddressBook(())


@lru_cache(maxsize=16)
def _reader(path: Path) -> maxminddb.Reader:
    """Open a database, all of it in memory: a file that is replaced under a running bot does no harm."""
    import maxminddb  # late: most teams have none

    try:
        return maxminddb.open_database(str(path), maxminddb.MODE_MEMORY)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise ConfigError(f"AUDIT_BOT_GEOIP_DB: {path} cannot be read as an address database: {REMEDY}.") from error


def _country(record: dict[str, Any]) -> Any:
    """Return the code as the common databases spell it: {"country": {"iso_code"}}, "country_code", or "country"."""
    country = record.get("country")
    return country.get("iso_code") if isinstance(country, dict) else record.get("country_code") or country


def _as_name(record: dict[str, Any]) -> Any:
    return record.get("autonomous_system_organization") or record.get("as_name")


def _first(found: Any) -> str | None:
    return next((one for one in found if isinstance(one, str) and one), None)
