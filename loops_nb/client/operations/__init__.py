"""The routes of the Loops API as functions from checked arguments to a `Request`; no I/O."""
