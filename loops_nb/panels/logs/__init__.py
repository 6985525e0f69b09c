"""The panel of log lines."""
