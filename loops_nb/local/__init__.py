"""The embedded local service: the Loops HTTP API over SQLite and files, on this machine, without a key.

It is a real server of the same routes (``loops-nb serve``), for newcomers, for authors of training code, and for tests.  It keeps
records and files, moves everything through its documented states, and trains and samples a real, small model (`loops_nb.local.engine`
runs it, `loops_nb.local.model` is it), so that a training loop can be written and debugged on a laptop.
"""
