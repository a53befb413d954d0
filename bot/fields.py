"""The catalogue of what can be asked of an event: its own fields, and the facts derived from all events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from bot.addresses import NO_ADDRESSES, AddressBook, ip_kind
from bot.times import EPOCH, parse_time

Kind = Literal["text", "number", "bool"]


@dataclass(frozen=True)
class Field:
    """One name for rules, `/audit`, SQL, CSV and docs. `values` lists the possible texts where they are closed."""

    name: str
    kind: Kind
    meaning: str
    values: tuple[str, ...] = ()


ACTOR_KINDS = ("person", "key", "webhook", "none")
ACTOR_TYPES = ("API_KEY", "PERSONAL_API_KEY", "OAUTH2", "BACKSTAGE", "ANONYMOUS")
IP_KINDS = ("public", "private", "special", "unreadable")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LEARNING_DAYS = 14  # every *_new fact is unknown for so long after the first event of the log
HABIT_DAYS = 90  # an actor's habit: the hours of so many days before in which it did something; in UTC, since the
# hour of tolerance on either side also bridges the change to summer time, so that it hangs on no setting
LEAST_HABIT = 50  # of fewer hours nobody can say what is usual
RARE_HOUR = 50  # an hour of the day is unusual where fewer than one of so many lay within an hour of it
USUAL_DAYS = 30  # what is usual of deletes: the mean of so many days, the last one left out

EVENT_FIELDS = (
    Field("time", "text", "when it happened, ISO 8601 in UTC"),
    Field("action", "text", "CREATE, UPDATE, DELETE or READ; any other word that the portal sends is kept"),
    Field("actor", "text", "who: an e-mail address, the name of an API key, a webhook; missing for automatic changes"),
    Field("ip", "text", "the address the request came from; may be missing"),
    Field("object", "text", "what was changed"),
    Field("type", "text", "the kind of thing that was changed, like SERVICE or API_KEY"),
)

FACTS = (
    Field("actor_kind", "text", "person, key, webhook or none (no actor)", ACTOR_KINDS),
    Field("actor_type", "text", "the portal's own word for how the actor signed in, where it is known", ACTOR_TYPES),
    Field("actor_age_days", "number", "days since the actor's first event ever"),
    Field("actor_idle_days", "number", "days since the actor's previous event; missing at the first one"),
    Field("actor_new", "bool", "the actor's first event ever"),
    Field("ip_new", "bool", "the first event ever from this address"),
    Field("ip_new_for_actor", "bool", "the first event of this actor from this address"),
    Field("network_new_for_actor", "bool", "the first event of this actor from this network (IPv4 /24, IPv6 /48)"),
    Field("ip_kind", "text", "what the address is: special are loopback, link-local and the like", IP_KINDS),
    Field("country", "text", "the address's country, like DE, by AUDIT_BOT_GEOIP_DB; missing without one"),
    Field("as_name", "text", "the operator of the address's network, by AUDIT_BOT_GEOIP_DB; missing without one"),
    Field("country_new_for_actor", "bool", "the first event of this actor from this country"),
    Field("ip_age_days_for_actor", "number", "days since this actor's first event from this address"),
    Field("type_new_for_actor", "bool", "the actor's first event on this type"),
    Field("action_new_for_actor", "bool", "the actor's first event with this action"),
    Field(
        "type_new_without_actor",
        "bool",
        "the first event on this type that names no actor; missing where there is an actor",
    ),
    Field(
        "usual_deletes",
        "number",
        f"deletes a day by the actor, on average over {USUAL_DAYS} days, the last day before the event left out",
    ),
    Field(
        "object_by_other", "bool", "the object was last created by another actor; missing where nobody saw it created"
    ),
    Field("type_sensitive", "bool", "the type matches a pattern of rules/sensitive.yml"),
    Field("hour", "number", "hour of the day, 0 to 23, in AUDIT_BOT_TIMEZONE"),
    Field("weekday", "text", "mon to sun, in AUDIT_BOT_TIMEZONE", WEEKDAYS),
    Field("off_hours", "bool", "outside AUDIT_BOT_WORKING_HOURS, in AUDIT_BOT_TIMEZONE"),
    Field(
        "unusual_hour",
        "bool",
        f"of the hours in which the actor did something in the {HABIT_DAYS} days before, fewer than one in {RARE_HOUR}"
        f" lay within an hour of this hour of the day (UTC); missing where there are fewer than {LEAST_HABIT}",
    ),
)

FIELDS = {field.name: field for field in (*EVENT_FIELDS, *FACTS)}
TEXT_FIELDS = ("actor", "action", "ip", "object", "type")  # the event's own fields that hold text


# Types that hold credentials or decide who may do what; rules/sensitive.yml replaces the list.
SENSITIVE_TYPES = (
    "*_CONFIGURATION",
    "*_OAUTH_REGISTRATION",
    "*_WEBHOOK_SECRET",
    "*API_KEY*",
    "*TOKEN*",
    "*SECRET*",
    "*ALLOW_LIST*",
    "*ROLE*",
    "*PERMISSION*",
    "*SSO*",
    "*OIDC*",
    "*SAML*",
    "*SCIM*",
    "*IDENTITY_PROVIDER*",
    "USER",
    "USERS",
    "ACCOUNT_FLAG",
)


_FIRST, _LAST = parse_time("0001-01-03"), parse_time("9999-12-29")


OF_ADDRESS = ("ip_kind", "country", "as_name")  # facts that an address alone decides


@lru_cache(maxsize=10_000)  # asked of the same few types in each pass
def _matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(text, pattern.upper()) for pattern in patterns)


@dataclass(frozen=True)
class FactSettings:
    """What facts need to know beside the events: the zone, the working hours, the sensitive types, the addresses.

    `working_days` counts Monday as 0; work lasts from hour `work_begins` up to, not including, `work_ends`.
    """

    zone: tzinfo = UTC
    working_days: frozenset[int] = frozenset(range(5))
    work_begins: int = 7
    work_ends: int = 20
    sensitive: tuple[str, ...] = SENSITIVE_TYPES
    addresses: AddressBook = NO_ADDRESSES

    def of_address(self, fact: str, address: str) -> str | None:
        """Return ip_kind, country or as_name of an address."""
        if fact == "ip_kind":
            return ip_kind(address)
        return self.addresses.country(address) if fact == "country" else self.addresses.as_name(address)

    def hour(self, time: int) -> int:
        """Return the hour of the day in the zone."""
        return self._local(time).hour

    def weekday(self, time: int) -> str:
        """Return mon to sun in the zone."""
        return WEEKDAYS[self._local(time).weekday()]

    def off_hours(self, time: int) -> bool:
        """Tell whether nobody is expected to work then."""
        local = self._local(time)
        return local.weekday() not in self.working_days or not self.work_begins <= local.hour < self.work_ends

    def type_sensitive(self, type_name: str) -> bool:
        """Tell whether a type matches one of the patterns, ignoring case."""
        return _matches_any(type_name.upper(), self.sensitive)

    def _local(self, time: int) -> datetime:
        inside = min(max(time, _FIRST), _LAST)  # a zone's offset would lead out of the calendar at its edges
        return (EPOCH + timedelta(microseconds=inside)).astimezone(self.zone)
