"""The embedded local service: the Loops HTTP API over SQLite and files, on this machine, without an API key.

A real server of the same routes (``loops-nb serve``, ``%loops local start``), for newcomers, for authors of training
code, and for tests.  It stores records and files, moves everything through its documented states, and trains and
samples a small, real model, so that a training loop can be written and debugged on a laptop.

The packages, each importing only those above it::

    store      records, events and settings in SQLite
    rules      what is allowed and what follows from it; statuses from recorded events, logs, metrics
    weights    files, formats and records of saved weights
    nn         the transformer over NumPy: training and sampling
    workers    a process for each live trainer and sampler, and their operations
    routes     HTTP routes, one module a resource
    server     application, middleware, connection limits, the server process

`launcher` starts, finds and stops the service from a notebook.  Of the client's packages, only `loops_nb.api`,
`loops_nb.config` and `loops_nb.errors` are imported here.
"""
