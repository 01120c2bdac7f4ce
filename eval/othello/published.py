"""What arXiv 2404.12444 publishes, on boards of 8×8; the curves as read off its figure, to about a point."""

from __future__ import annotations

ALIGNMENT = {
    "atomic and atomic": {0: 0.53, 1: 0.82, 2: 0.97, 4: 0.97},
    "atomic and split": {0: 0.47, 1: 0.47, 2: 0.73, 4: 0.97},
    "atomic and compositional": {0: 0.51, 1: 0.59, 2: 0.67, 4: 0.97},
}
"""Table 1: languages → number of anchors → squares that a probe of one reads right in the other."""

TRANSFER = {
    ("atomic and atomic", "nothing"): ((0.92, 0.997), (0.91, 0.896)),
    ("atomic and atomic", "8 anchors"): ((0.907, 0.995), (0.90, 0.707)),
    ("atomic and atomic", "one language of output"): ((0.908, 0.992), (0.908, 0.991)),
    ("atomic and split", "nothing"): ((0.81, 0.98), (0.89, 0.35)),
    ("atomic and split", "8 anchors"): ((0.81, 0.98), (0.855, 0.61)),
    ("atomic and split", "one language of output"): ((0.915, 0.996), (0.92, 0.89)),
    ("atomic and compositional", "nothing"): ((0.81, 0.98), (0.82, 0.45)),
    ("atomic and compositional", "8 anchors"): ((0.775, 0.98), (0.80, 0.64)),
    ("atomic and compositional", "one language of output"): ((0.93, 0.995), (0.83, 0.873)),
}
"""Languages and what they share → legal rates before and after fine-tuning on the first: the source's, the target's."""
