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
            line = f"{what}: {count} of {total} after {time.monotonic() - started:.0f} s"
            print(line, file=sys.stderr, flush=True)
