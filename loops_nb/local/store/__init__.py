"""SQLite store: records, events and settings."""
