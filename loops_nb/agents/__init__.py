"""Tools for coding agents: bounded answers about runs, logs, curves and checkpoints, and a server of them over stdio.

The tools are plain functions with annotated arguments, one module a subject; `loops_nb.agents.registry` lists them.
``loops-nb mcp`` serves them over stdio, and Jupyter's server for agents (``jupyter-server-mcp``) finds those that only
read by an entry point.  The docstring of a tool and the texts of its arguments are what an agent reads.

This module imports nothing: the servers import what they serve.
"""
