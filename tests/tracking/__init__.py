"""Experiments on this machine: recorded, kept, read."""
