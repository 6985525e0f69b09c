"""The HTTP client: requests as data (`operations`), one transport a flavour, resources as thin shells.

It knows no pandas and no widgets.
"""
