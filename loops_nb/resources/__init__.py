"""The public clients, `Loops` and `AsyncLoops`, and the resources they own."""
