"""Sampling: over real HTTP against a server that answers anything, and against the real local sampler."""
