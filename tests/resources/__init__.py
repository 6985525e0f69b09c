"""Tests of `loops_nb.resources`."""
