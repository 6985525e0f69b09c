"""What computes: one child process for each live trainer and each live sampler, and the operations that they are asked for."""
