"""Errors of the local service that are not HTTP answers; light to import, for the worker processes too."""

from __future__ import annotations


class StoreError(Exception):
    """The data folder cannot be used; the text says why, in one line."""


class CannotServeError(Exception):
    """The address cannot be listened on; the text says why, in one line."""


class InvalidInputError(ValueError):
    """A request to the model is wrong or exceeds its limits; the text says what, and what to send instead."""
