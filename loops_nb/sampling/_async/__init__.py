"""Generated async twins of the modules one level up."""
