"""Panels in a real JupyterLab in a real Chromium; each test has a notebook of its own and leaves no kernel behind."""
