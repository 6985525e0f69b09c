"""Every speed that this project claims, as a ratio against a named peer in the same run.

``python -m benchmarks`` runs them all and prints one table; ``python -m benchmarks --help`` tells how to run some of
them.
"""
