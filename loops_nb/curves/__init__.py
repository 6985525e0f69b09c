"""Curves of training numbers: what a picture of them can show of a million points, and how it is drawn without a page.

Nothing here knows of widgets: `loops_nb.panels` shows what this room makes.
"""
