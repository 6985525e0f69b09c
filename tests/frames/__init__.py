"""Tests of frames and of df.loops."""
