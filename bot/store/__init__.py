"""The only home of SQLite: its tables, alerts and the journal here; the log, queries, people, messages and the care for
the file in folders of their own."""
