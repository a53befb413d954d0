"""The only home of SQLite: schema, events, search, alerts, journal, backup."""
