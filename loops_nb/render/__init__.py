"""Rendering: words for sizes and times, and tables as text and as HTML that are safe anywhere.

Imports only `errors`.
"""
