"""Tests of `loops_nb.api`."""
