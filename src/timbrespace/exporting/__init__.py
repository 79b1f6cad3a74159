"""Instruments for samplers: a point of the space over a keyboard, as SFZ or as plain samples."""
