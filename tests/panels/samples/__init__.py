"""Tests of the panel of samples."""
