"""Where new sounds come from: densities fitted to a run's space after training."""
