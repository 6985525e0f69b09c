"""Tests of `loops_nb.config`."""
