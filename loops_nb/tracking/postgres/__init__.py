"""A team's store in PostgreSQL; nothing here is imported unless an address of one is set."""
