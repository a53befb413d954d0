"""audit-bot: watches the audit log of a Cortex workspace and tells a security team in Slack.

The folders are the flow, and imports go down only (import-linter holds it)::

    Cortex API --poll--> store --detect--> findings --alert--> outbox --slack--> channel
                           |                            ^                          |
                           +--------- /audit <----------+---- buttons <------------+

    poll/      reads the portal's audit log, exactly
    store/     the only home of SQLite: events, findings, alerts, outbox, journal
    detect/    facts, rules and forest over columns of events: findings
    alert/     findings to alerts: join, level, route, and the outbox that posts them
    slack/     blocks, commands, buttons
    charts/    pictures of what is known, each with its words; the only home of matplotlib
    pipeline   one pass of all that, in one transaction; what `schedule`, `cli` and `replay` call
    watch/     the bot watching itself: watchdog, canary, alarms, heartbeat, figures
    doctor/    what is wrong with a set-up, and what to do
    sandbox/   stand-ins for the portal and for Slack, so that everything runs offline
"""
