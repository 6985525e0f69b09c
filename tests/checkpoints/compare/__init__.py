"""Tests of `loops_nb.checkpoints.compare`."""
