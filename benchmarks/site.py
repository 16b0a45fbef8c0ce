"""Measure the built site, its first paint from disk, the live page: python benchmarks/site.py."""

import shutil
import statistics
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
N_REPEAT = 5
LIVE = """async (given) => {
  const started = performance.now();
  await ecgLive.compute({ index: 0, given, blank: -1, scale: 1, shift: 0, beat: true });
  return performance.now() - started;
}"""


def first_paint_ms(browser: Browser, page: Path) -> float:
    """Return the median time to the first contentful paint, each time in a new profile."""
    times = []
    for _ in range(N_REPEAT):
        context = browser.new_context(viewport={"width": 1366, "height": 800})
        tab = context.new_page()
        tab.goto(page.as_uri())
        tab.wait_for_timeout(200)
        times.append(
            tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        )
        context.close()
    return statistics.median(times)


def live_ms(browser: Browser, page: Path) -> float:
    """Return the median time to reconstruct 11 leads from V2 in the page."""
    tab = browser.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_function("document.querySelector('#ecg-live-summary').textContent.length > 20")
    times = [tab.evaluate(LIVE, 7) for _ in range(N_REPEAT)]
    tab.close()
    return statistics.median(times)


def main(site: Path) -> None:
    """Print the measurements of one site."""
    files = [path for path in site.rglob("*") if path.is_file()]
    pages = sorted(site.glob("*.html"), key=lambda path: path.stat().st_size)
    print(f"site              {sum(path.stat().st_size for path in files) / 1e6:7.1f} MB")
    print(f"largest page      {pages[-1].stat().st_size / 1e6:7.1f} MB  {pages[-1].name}")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        for name in ("index", "05_every_lead", "try_it"):
            paint = first_paint_ms(browser, site / f"{name}.html")
            print(f"first paint       {paint:7.0f} ms  {name}")
        print(f"live page, V2     {live_ms(browser, site / 'try_it.html'):7.0f} ms")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "html")
