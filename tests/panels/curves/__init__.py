"""Tests of `loops_nb.charts` and of the curve panel."""
