"""Tests of downloads, from honest and from hostile servers."""
