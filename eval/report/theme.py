"""Colours of a report, for light and for dark surroundings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

GREY = "#8c8c8c"


MOST_COLOURS = 8


LIGHT_COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6000", "#5e5e5e"]


DARK_COLOURS = ["#56b4e9", "#e69f00", "#00c08b", "#e59cc4", "#4d94ff", "#ff7f3f", "#f0e442", "#b0b0b0"]


CHANGE_COLOURS = ["#e69f00", "#f5f5f5", "#56b4e9"]
"""Orange for worse, blue for better: dark text stands on all of them, in both modes."""

AMOUNT_COLOURS = ["#f5f5f5", "#56b4e9"]
"""From the least to the most; dark text stands on all of them."""


RIGHT, WRONG, UNTOLD = "right language", "another language", "cannot be told"
VERDICT_COLOURS = ["#0072b2", "#d55e00", "#9a9a9a"]
"""Of the language answered in."""


def themes() -> dict[str, dict[str, Any]]:
    """Vega's configuration for light and for dark surroundings."""
    return {
        "light": _theme("#1b1f24", "#57606a", "#d8dee4", LIGHT_COLOURS, [0, 0.8]),
        "dark": _theme("#e6edf3", "#9da7b3", "#3a424b", DARK_COLOURS, [0.35, 1]),
    }


def _theme(text: str, quiet: str, lines: str, colours: Sequence[str], extent: Sequence[float]) -> dict[str, Any]:
    return {
        "background": "transparent",
        "font": "system-ui, sans-serif",
        "view": {"stroke": None},
        "mark": {"color": colours[0]},
        "axis": {
            "labelColor": quiet, "titleColor": quiet, "gridColor": lines, "domainColor": lines, "tickColor": lines,
            "titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 11,
        },
        "header": {"labelColor": text, "titleColor": text, "labelFontSize": 12, "labelFontWeight": "bold"},
        "legend": {"labelColor": text, "titleColor": text, "orient": "top", "titleFontWeight": "normal"},
        "rule": {"color": quiet},
        "text": {"color": text},
        "point": {"filled": True, "size": 45, "opacity": 1},
        "range": {"category": list(colours), "ordinal": {"scheme": "plasma", "extent": list(extent)}},
    }  # fmt: skip
