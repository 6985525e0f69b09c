"""Tests of `loops_nb.agents`."""
