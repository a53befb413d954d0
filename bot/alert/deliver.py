"""Sends each posted alert on its way, by what was told before: a message of its own, or a place in a notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from bot.alert import lanes
from bot.alert.decide import EPISODE, JOIN_WITHIN, SHOWN
from bot.alert.quiet_hours import quiet_until, say_clock
from bot.alert.routing import Routing
from bot.alert.routing_keys import STORM
from bot.model import Alert, Finding, Level, Rule
from bot.store import alerts
from bot.store.messages import deliveries, notices, outbox
from bot.store.messages.deliveries import Delivery
from bot.store.schema import Store
from bot.times import DAY


@dataclass
class Touched:
    """What a pass brings to an alert: how late its newest finding came, and what of it people are shown."""

    late_by: int | None = None
    shown: bool = False
    fresh: list[Finding] = field(default_factory=list)
    withdrawn: list[Finding] = field(default_factory=list)

    def take(self, finding: Finding, late_by: int, *, fresh: bool) -> None:
        """Note one finding that is new, has grown, or no longer holds."""
        self.late_by = late_by if self.late_by is None else min(late_by, self.late_by)
        if finding.hidden not in SHOWN:
            return
        self.shown = True
        if finding.state == "withdrawn":
            self.withdrawn.append(finding)
        elif fresh:
            self.fresh.append(finding)


@dataclass
class Courier:
    """Delivers the alerts of one pass, inside its transaction. `zone` is the team's, for quiet hours."""

    store: Store
    routing: Routing
    now: int
    zone: tzinfo
    _rules: Mapping[str, Rule] | None = None

    def post(self, alert: Alert, findings: Sequence[Finding], *, late_by: int) -> Alert:
        """Queue an alert that is worth posting since now; return it with the named reason of its way."""
        with self.store.write() as connection:
            connection.execute("UPDATE alerts SET late_by = ? WHERE id = ?", (late_by, alert.id))
        way, fresh, until = self._choose(alert, findings, alert.decision)
        self._send(way, alert, fresh, findings, until)
        return replace(alert, decision=way.reason)

    def go_on(self, before: Alert, after: Alert, findings: Sequence[Finding], how: Touched) -> tuple[Alert, bool]:
        """Tell what became of a posted alert; return it, and whether it is drawn again."""
        known = deliveries.delivery(self.store, after.id)
        if known is not None and known.lane != "own" and lanes.worse(before, after):
            gone = self._leave(known, after, findings, lanes.left(before, after))
            if gone is not None:
                return gone, True
        if after.level > before.level:
            outbox.hurry(self.store, after.id, int(after.level), self.now)
        if not self._is_news(before, after, how, known):
            return after, False
        self._tell(before, after, how, known)
        return after, True

    def rise(self) -> int:
        """Let alerts leave their notices that got worse in another way than by findings: by what a person said."""
        count = 0
        for number in deliveries.risen(self.store):
            with self.store.write():
                known, alert = deliveries.delivery(self.store, number), alerts.alert(self.store, number)
                if known is not None and alert is not None:
                    count += self._rise(known, alert)
        return count

    def _rise(self, known: Delivery, alert: Alert) -> bool:
        shown = alerts.findings(self.store, "alert = ? AND state = 'open' AND hidden IN ('', 'history')", (alert.id,))
        reason = lanes.left(replace(alert, level=known.level), alert)
        gone = self._leave(known, alert, alerts.worst_first(shown), reason)
        if gone is not None:
            alerts.update_alert(self.store, gone)
        return gone is not None

    def _leave(self, known: Delivery, alert: Alert, findings: Sequence[Finding], reason: str) -> Alert | None:
        """Let an alert leave its notice where its way is another now; return it with the named reason."""
        way, fresh, until = self._choose(alert, findings, reason)
        if not lanes.leaves(known.lane, way.lane):
            return None
        self._send(way, alert, replace(fresh, notice=known.notice), findings, until)
        outbox.put_redraw(self.store, known.notice or 0, self.now)
        return replace(alert, decision=way.reason)

    def _choose(self, alert: Alert, findings: Sequence[Finding], reason: str) -> tuple[lanes.Way, Delivery, int]:
        """Return the way of an alert, what is to be stored about it, and until when it is held."""
        if self._rules is None:
            self._rules = alerts.rule_texts(self.store)
        routing, now = self.routing, self.now
        channel = routing.channel_for(findings, self._rules, alert.level) or ""
        rule = findings[0].rule_id if findings else ""
        until = quiet_until(routing.quiet_hours, alert.level, now, self.zone)
        way = lanes.choose(
            alert.level, reason, self._traffic(alert, channel, rule), routing,
            held_until=None if until is None else say_clock(until, self.zone),
            one_rule=len({finding.rule_id for finding in findings}) == 1,
        )  # fmt: skip
        return way, Delivery(alert.id, way.lane, now, alert.level, channel, rule), until or now

    def _traffic(self, alert: Alert, channel: str, rule: str) -> lanes.Traffic:
        storm, rate, store, now = self.routing.storm, self.routing.rate, self.store, self.now
        limit = max(storm.more_than, storm.critical) if storm else 0
        return lanes.Traffic(
            deliveries.told(store, channel, alert.level, now - storm.within, but=alert.id, most=limit) if storm else 0,
            deliveries.of_rule(store, rule, now - rate.within, but=alert.id, most=rate.more_than) if rate else 0,
        )

    def _send(self, way: lanes.Way, alert: Alert, fresh: Delivery, findings: Sequence[Finding], until: int) -> None:
        """Queue the alert's message, or let it join the notice of its lane; a high one is named in the thread there."""
        if way.lane == "own":
            outbox.put(self.store, "post", self.now, alert=alert.id, urgency=int(alert.level))
        else:
            rule = fresh.rule if way.lane == "rate" else ""
            since = self.now - ((self.routing.storm or STORM).within if way.lane == "storm" else DAY)
            notice = notices.join(self.store, way.lane, rule, fresh.channel, alert.level, self.now, until, since)
            fresh = replace(fresh, notice=notice)
            if alert.level >= Level.high:
                outbox.add_news(self.store, [lanes.say_joined(alert, findings)], self.now, notice=notice)
        deliveries.keep(self.store, fresh)

    def _is_news(self, before: Alert, after: Alert, how: Touched, known: Delivery | None) -> bool:
        """Tell whether the message has to be drawn again: mere going on is no news once the episode is over."""
        if how.fresh or how.withdrawn or (after.level, after.points) != (before.level, before.points):
            deliveries.set_over(self.store, after.id, over=False)
            return True
        if after.entity.kind == "workspace":
            return how.shown  # what it says of the log would no longer be true
        if known is not None and after.last > before.last + JOIN_WITHIN and not self._behind():
            deliveries.set_over(self.store, after.id, over=True)
            return False
        return how.shown and not (known and known.over) and after.last <= after.first + EPISODE

    def _behind(self) -> bool:
        """Tell whether we were away: then growth that comes all at once says nothing of an hour without any."""
        last = self.store.meta("last_poll")
        return last is not None and self.now - int(last) > JOIN_WITHIN

    def _tell(self, before: Alert, after: Alert, how: Touched, known: Delivery | None) -> None:
        """Queue the redrawing, and the reply about what is new where the alert has a thread of its own."""
        if known is not None and known.lane == "own":
            if lines := lanes.news(before, after, how.fresh, how.withdrawn):
                outbox.add_news(self.store, lines, self.now, alert=after.id)
        else:
            deliveries.note_change(self.store, after.id, self.now)
        outbox.put_update(self.store, after.id, self.now)
