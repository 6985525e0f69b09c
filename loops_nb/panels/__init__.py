"""Live panels: what runs, samplers, checkpoints and deployments do, shown under a cell and kept up to date by `loops_nb.live`."""
