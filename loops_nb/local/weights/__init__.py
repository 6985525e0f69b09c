"""Saved weights: checkpoint files, their formats and their records."""
