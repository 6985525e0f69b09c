"""Tests of `loops_nb.checkpoints.tensors`."""
