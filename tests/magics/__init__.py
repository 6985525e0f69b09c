"""Tests of ``%loops``."""
