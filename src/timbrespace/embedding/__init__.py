"""What a search hears of recordings: points of a space that many listeners' tags have shaped (`musicnn`),
and the course of their MFCCs (`cepstrum`)."""

from timbrespace.embedding.musicnn import DIMENSIONS, embed

__all__ = ["DIMENSIONS", "embed"]
