"""What can be done with checkpoints: resolve names, download and verify, open tensors, compare."""
