"""A density over the codes of a sound: each code is guessed from those before it.

NADE (Larochelle & Murray 2011, section 2; with a layer more: Uria et al. 2016, arXiv 1605.02226): what is
known of the codes before is a sum of one vector each, so all guesses of a sound are made in one pass. A
transformer of two layers found no more in codes of this kind.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from timbrespace.models.conditions import Smooth

DROP = 0.2  # of the hidden numbers while it learns
FORGET = 0.2  # of the codes before; a guess should not hang on one of them


class CodeSequence(nn.Module):
    """p(codes | pitch, loudness) of codes (N, D), each out of `size`.

    pitch (N,) is a MIDI number, 128 where it is unknown; loudness (N,) has mean 0 and variance 1 over
    the sounds. It starts at `counts` (D, size): what the codes' frequencies say, and nothing of each other.
    """

    def __init__(self, counts: Tensor, *, width: int = 64) -> None:
        super().__init__()
        places, size = counts.shape
        shares = (counts + 1.0) / (counts.sum(1, keepdim=True) + size)
        self.pitch, self.loudness = Smooth(width), nn.Linear(1, width)
        self.place = nn.Parameter(0.2 * torch.randn(places, width))
        self.known = nn.Parameter(0.2 * torch.randn(places, size, width))
        self.block = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Dropout(DROP),
            nn.Linear(2 * width, width),
        )  # fmt: skip
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Dropout(DROP))
        self.weight = nn.Parameter(torch.zeros(places, width, size))
        self.bias = nn.Parameter(shares.log())

    def nats(self, codes: Tensor, pitch: Tensor, loudness: Tensor) -> Tensor:
        """-log p of each sound's codes (N, D): (N,)."""
        vectors = self.known[torch.arange(codes.shape[1]), codes]
        if self.training:
            vectors = vectors * (torch.rand(codes.shape) >= FORGET)[..., None]
        before = F.pad(vectors[:, :-1], (0, 0, 1, 0)).cumsum(1)
        h = before + self.place + self._told(pitch, loudness)[:, None]
        h = self.last(h + self.block(h))
        logits = torch.einsum("ndw,dwk->ndk", h, self.weight) + self.bias
        return F.cross_entropy(logits.transpose(1, 2), codes, reduction="none").sum(1)

    @torch.no_grad()
    def sample(self, pitch: Tensor, loudness: Tensor, noise: Tensor) -> Tensor:
        """Codes (N, D) of noise (N, D), uniform in [0, 1): one after the other."""
        h = self._told(pitch, loudness)
        codes = []
        for place, chance in enumerate(noise.unbind(1)):
            now = h + self.place[place]
            now = self.last(now + self.block(now))
            shares = (now @ self.weight[place] + self.bias[place]).softmax(1)
            reached = shares.cumsum(1) <= chance[:, None]
            code = reached.sum(1).clamp_max(shares.shape[1] - 1)
            h = h + self.known[place, code]
            codes.append(code)
        return torch.stack(codes, 1)

    def _told(self, pitch: Tensor, loudness: Tensor) -> Tensor:
        return self.pitch(pitch) + self.loudness(loudness[:, None])
