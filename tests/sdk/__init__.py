"""The official training SDK, unmodified, against the local service; ``python -m tests.sdk`` runs it all."""
