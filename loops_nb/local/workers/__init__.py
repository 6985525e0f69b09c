"""Worker processes: one for each live trainer and each live sampler, and their operations."""
