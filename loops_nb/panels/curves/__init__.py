"""The panel of training curves."""
