"""Tell how far a run is: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
N_LINE = 10


def follow(items: Iterable[Item], total: int, what: str, *, shown: bool = True) -> Iterator[Item]:
    """Yield items while stderr tells how many there were: a bar, or in a log ten lines in all.

    Parameters
    ----------
    items
        What is waited for, one after the other.
    total
        How many there will be.
    what
        Their name in the plural.
    shown
        False keeps silent.
    """
    if shown and sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=what, file=sys.stderr)
        return
    started = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if shown and N_LINE * count // total > N_LINE * (count - 1) // total:
            line = _line(what, count, total, time.monotonic() - started)
            print(line, file=sys.stderr, flush=True)


def _line(what: str, count: int, total: int, seconds: float) -> str:
    """Return how far a run is and, while items are left, how long they will take at this pace.

    Examples
    --------
    >>> _line("records", 20, 60, 40.0)
    'records: 20 of 60 after 40 s, about 80 s left'
    """
    left = f", about {seconds / count * (total - count):.0f} s left" if count < total else ""
    return f"{what}: {count} of {total} after {seconds:.0f} s{left}"
