"""Tests of formatting, tables and status lines."""
