"""Knobs from sound: the setting of an effect with which a sound comes nearest to a reference."""
