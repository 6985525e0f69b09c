"""Dashboard: the runs, their checkpoints and their curves in one panel."""
