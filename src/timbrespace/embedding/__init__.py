"""Sounds as points of a space that many listeners' tags have shaped: see `musicnn`."""

from timbrespace.embedding.musicnn import DIMENSIONS, embed

__all__ = ["DIMENSIONS", "embed"]
