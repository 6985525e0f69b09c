"""Tests of the embedded local service, over real HTTP."""
