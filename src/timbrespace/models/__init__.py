"""Networks: encoders, bottlenecks, decoders and conditions, joined by slots into one Autoencoder."""
