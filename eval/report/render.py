"""Charts as files: SVG, PNG and PDF by vl-convert, of which this is the only importer, and scripts for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.report.theme import themes


def as_svg(spec: Mapping[str, Any]) -> str:
    """A Vega-Lite chart as SVG, in light colours; no browser and no network are needed."""
    import vl_convert

    return vl_convert.vegalite_to_svg(
        dict(spec), config=themes()["light"] | {"background": "white", "font": "sans-serif"}
    )


def as_png(svg: str) -> bytes:
    """An SVG at three times its size."""
    import vl_convert

    return vl_convert.svg_to_png(svg, scale=3)


def as_pdf(svg: str) -> bytes:
    """An SVG as PDF."""
    import vl_convert

    return vl_convert.svg_to_pdf(svg)


def vega_scripts() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return vl_convert.javascript_bundle()  # pyright: ignore[reportCallIssue]  # the snippet has a default
