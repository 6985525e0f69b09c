"""Tests of reading files behind presigned URLs."""
