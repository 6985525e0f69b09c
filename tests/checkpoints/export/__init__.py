"""Tests of `loops_nb.checkpoints.export`."""
