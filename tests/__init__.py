"""Tests of loops_nb."""
