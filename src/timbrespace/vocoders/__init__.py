"""Sound of log-mel pictures by a trained network: the vocoder, its training, its figures."""
