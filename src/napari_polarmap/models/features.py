"""What the networks see of a pattern: its even part and, enlarged, its part odd under 180 degrees.

Averaged over whole unit cells, only the odd part carries the direction, and it is
about one per cent of the intensity; a network that must find it by itself stays at
chance.
"""

from __future__ import annotations

from typing import Final

import torch

EVEN_SCALE: Final = 0.4
ODD_SCALE: Final = 12.0


def even_and_odd(patterns: torch.Tensor) -> torch.Tensor:
    """Return the two channels, shape (n, 2, edge, edge), of patterns of shape (n, edge, edge).

    Patterns are scaled to a mean of 1; ones without counts give zeros.
    """
    mean = patterns.mean(dim=(1, 2), keepdim=True)
    scaled = torch.where(mean > 0, patterns / mean.clamp_min(1e-30), torch.zeros_like(patterns))
    turned = scaled.flip((1, 2))
    return torch.stack([EVEN_SCALE * (scaled + turned) / 2, ODD_SCALE * (scaled - turned) / 2], dim=1)


def least_to_most(patterns: torch.Tensor) -> torch.Tensor:
    """Return patterns scaled from 0 (least) to 1 (greatest intensity), shape (n, 1, edge, edge)."""
    low, high = patterns.amin(dim=(1, 2), keepdim=True), patterns.amax(dim=(1, 2), keepdim=True)
    return ((patterns - low) / (high - low).clamp_min(1e-30))[:, None]
