"""Downloads into buckets, and checkpoints that are read there."""
