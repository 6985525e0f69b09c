"""The embedded local service: the Loops HTTP API over SQLite and files, on this machine, without a key.

It is a real server of the same routes (``loops-nb serve``), for newcomers, for authors of training code, and for tests.  It keeps
records and files and moves everything through its documented states; it has no trainer, so the data plane answers 501.
"""
