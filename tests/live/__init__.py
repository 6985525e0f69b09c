"""Tests of the poller and of waiting."""
