"""Tests of the readers of other trackers' files, without these trackers."""
