"""The report of a study of a million item scores: 20 cells × 8 languages × 6,250 items, and the page in a browser.

python benchmarks/report.py [--cells 20] [--items 6250] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import sync_playwright

from eval.analysis.groups import LanguageGroups
from eval.analysis.summary import summarize
from eval.report.files import write_report
from tests.synthetic import SEEN, UNSEEN, page_of, tables


def main() -> None:
    """Prints seconds of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--items", type=int, default=6250)
    parser.add_argument("--folder", type=Path, default=None)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    names = ["base", *(f"amount-{20 * index}" for index in range(given.cells - 1))]
    groups = LanguageGroups(SEEN, UNSEEN)
    predictions, scores = tables(names, ["math"], groups.all, given.items)
    print(f"{predictions.height:,} predictions, {scores.height:,} scores", flush=True)
    started = time.perf_counter()
    summary = summarize(scores, groups)
    summarized = time.perf_counter()
    print(f"statistics: {summarized - started:.1f} s", flush=True)
    write_report(folder, page_of(names, groups, predictions, scores, summary))
    print(f"page, tables and figures: {time.perf_counter() - summarized:.1f} s")
    beside = sum(file.stat().st_size for file in (folder / "report_files").glob("*"))
    print(f"report.html {(folder / 'report.html').stat().st_size / 1e6:.1f} MB, beside it {beside / 1e6:.1f} MB")
    browse(folder / "report.html")


def browse(report: Path) -> None:
    """Prints what a reader waits for."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        started = time.perf_counter()
        page.goto(report.absolute().as_uri())
        page.wait_for_selector(".item")
        print(f"first predictions after {time.perf_counter() - started:.1f} s", flush=True)
        page.wait_for_selector("html[data-charts=drawn]", state="attached")
        print(f"all charts after {time.perf_counter() - started:.1f} s")
        for name, value in (("language", "ar"), ("result", "wrong"), ("language", "")):
            started = time.perf_counter()
            page.select_option(f"#filter-{name}", value)
            page.wait_for_selector("#matches:not(:text('Loading'))")
            matches = page.locator("#matches").inner_text()
            print(f"filter {name}={value or 'all'}: {time.perf_counter() - started:.2f} s, {matches}")
        browser.close()


if __name__ == "__main__":
    main()
