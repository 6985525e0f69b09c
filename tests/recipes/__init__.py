"""The official recipes (tinker-cookbook) against the local service, in an environment of their own."""
