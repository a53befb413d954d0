"""Looks at what is outside: the portal's key and clock, Slack's tokens, scopes and channels. Changes nothing there."""

from __future__ import annotations

from collections.abc import Iterator

from bot.doctor.lines import Line, bad, ok, warn
from bot.errors import ApiError, DeliveryError
from bot.poll.client import Portal
from bot.settings import Settings
from bot.slack.checkup import Checkup
from bot.slack.scopes import SCOPES
from bot.times import MINUTE, SECOND, say_duration

CLOCK_WARN, CLOCK_BAD = 30 * SECOND, 5 * MINUTE
INVITE = "invite the bot there, and give the channel's id (C...), not its name"


def portal_lines(settings: Settings, portal: Portal | None, now: int) -> Iterator[Line]:
    """Say whether the key may read the audit log, and whether the clocks agree."""
    if portal is None:
        return
    try:
        skew = portal.check()
    except ApiError as error:
        yield bad("portal", str(error), f"CORTEX_BASE_URL is {settings.cortex_base_url}; CORTEX_API_KEY is set")
        return
    yield ok("portal", f"{settings.cortex_base_url} answers, the key may read the audit log")
    if skew is None:
        yield warn("clock", "the portal sends no Date, so our own clock has to do", "keep this machine's clock by NTP")
    elif abs(skew) <= CLOCK_WARN:
        yield ok("clock", "agrees with the portal's")
    else:
        text = f"{say_duration(abs(skew))} {'behind' if skew > 0 else 'ahead of'} the portal's"
        yield (bad if abs(skew) > CLOCK_BAD else warn)("clock", text, "let NTP set this machine's clock")


def slack_lines(settings: Settings, slack: Checkup | None) -> Iterator[Line]:
    """Say whether Slack knows the tokens, what the bot may do there, and whether it is in its channels."""
    if slack is None:
        return
    try:
        found = slack.who()
    except DeliveryError as error:
        yield bad("slack", f"the bot token is not taken ({error.code})", "install the app again, set SLACK_BOT_TOKEN")
        return
    yield ok("slack", f"the bot token is {found.user}'s in the workspace {found.team}")
    yield from _scope_lines(found.scopes)
    for name, channel in (("AUDIT_BOT_CHANNEL", settings.channel), ("AUDIT_BOT_OPS_CHANNEL", settings.ops_channel)):
        if channel is not None:
            yield _channel_line(slack, name, channel)
    if settings.slack_app_token is not None:
        try:
            slack.socket(settings.slack_app_token.get_secret_value())
            yield ok("slack", "the app token opens Socket Mode connections")
        except DeliveryError as error:
            remedy = "make an app-level token with connections:write, set SLACK_APP_TOKEN"
            yield bad("slack", f"the app token is not taken ({error.code})", remedy)


def _scope_lines(scopes: frozenset[str] | None) -> Iterator[Line]:
    if scopes is None:
        yield warn("slack", "Slack does not say which scopes the token has", "compare them with manifest.yml")
        return
    if missing := sorted(SCOPES - scopes):
        yield bad("slack", f"scopes are missing: {', '.join(missing)}", "take manifest.yml over, install the app again")
    if more := sorted(scopes - SCOPES):
        yield warn("slack", f"the token may do more than it needs: {', '.join(more)}", "take these scopes away")
    if scopes == SCOPES:
        yield ok("slack", f"{len(SCOPES)} scopes, no more and no fewer than it needs")


def _channel_line(slack: Checkup, name: str, channel: str) -> Line:
    try:
        slack.channel(channel)
    except DeliveryError as error:
        if error.code == "missing_scope":
            return warn("slack", f"{name} cannot be looked at without its scope", "see the missing scopes above")
        return bad("slack", f"{name} {channel}: {error.code}", INVITE)
    return ok("slack", f"the bot is in {name}")
