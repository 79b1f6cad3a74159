"""Which pictures of sound there are."""

from timbrespace.features.log_mel import LogMel

FEATURES: dict[str, type[LogMel]] = {"log_mel": LogMel}
