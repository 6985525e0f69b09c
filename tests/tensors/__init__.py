"""Tests of `loops_nb.tensors`."""
