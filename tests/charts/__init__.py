"""Tests of `loops_nb.charts`."""
