"""Tests of `loops_nb.curves` and of the curve panel."""
