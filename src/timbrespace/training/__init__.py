"""Training: state, step, loop, checkpoints, loggers."""
