"""Bringing checkpoints home from servers of every kind."""
