"""Other trackers that an experiment is logged to as well."""
