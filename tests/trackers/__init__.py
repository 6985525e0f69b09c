"""Tests of import and sinks with the real trackers, in an environment of their own."""
