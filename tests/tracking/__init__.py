"""Tests of `loops_nb.tracking`."""
