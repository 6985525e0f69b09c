"""A small language model that really trains and samples, in NumPy: the arithmetic behind the local trainer and sampler.

Nothing here knows of HTTP, of records or of other processes.  `requests` checks what callers send and loads no NumPy; `learner` trains,
`generation` samples.
"""
