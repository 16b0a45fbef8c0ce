"""Text of a table's column becomes numbers: one decimal sign, missing marks, nothing guessed."""

import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgnb.records.formats.channels import refuse

MISSING_MARKS = frozenset(
    (
        *("", "nan", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#ind", "na", "n/a", "n.a."),
        *("<na>", "null", "none", "nil", "-", "--", "---", "?", ".", "*", "#n/a", "#nv", "off"),
        *("#value!", "#wert!", "inf", "+inf", "-inf", "infinity", "-infinity", "lost", "missing"),
        *("invalid", "lead off", "leadoff", "lead-off"),
    )
)

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eEdD][+-]?\d+)?")

_FIRST = frozenset("0123456789+-.,")

_TWO_SIGNS = re.compile(r"[.,][^\n]*[.,]")

# What cannot be a group of thousands: 0.5, .5, 1234.5, 1.25, 1.5e3, or 1234 without a sign.
_DECIMAL = re.compile(r"^[ \t]*[+-]?(?:0*[.,]|\d{4}|\d+[.,](?!\d{3}[ \t]*$))", re.MULTILINE)

_WHOLE = re.compile(r"^[ \t]*[+-]?\d{1,3}[ \t]*$", re.MULTILINE)

_ONLY_FLOAT = frozenset("_nNiI")  # "1_0", "nan" and "inf" are numbers to Python's float


def plain_field(field: str) -> str:
    """Return a field without blanks and quotes around it, with one kind of minus."""
    return field.strip().strip("'\"").strip().replace("\u2212", "-")


def is_missing(field: str) -> bool:
    """Return whether a field says that its sample is missing.

    Examples
    --------
    >>> is_missing(" NaN"), is_missing(""), is_missing("0")
    (True, True, False)
    """
    return plain_field(field).casefold() in MISSING_MARKS


def is_number(field: str) -> bool:
    """Return whether a field is a number with a point or a comma.

    Examples
    --------
    >>> is_number("-0,5"), is_number("1e-3"), is_number("1.234,5"), is_number("5 mV")
    (True, True, False, False)
    """
    text = plain_field(field)
    return text[:1] in _FIRST and _NUMBER.fullmatch(text) is not None


def decimal_sign(path: Path, columns: Sequence[Sequence[str]]) -> str:
    """Return the decimal sign of a table's numeric columns, "." if none has any.

    Parameters
    ----------
    path
        The file, for the refusal.
    columns
        The text of each column, cut into blocks of lines.

    Raises
    ------
    RecordError
        If columns disagree, a number has two signs, or a sign may part thousands: 1.234 and 567.
    """
    signs = [_column_sign(path, blocks) for blocks in columns]
    signs = [sign for sign in signs if sign]
    if len(set(signs)) > 1:
        raise refuse(
            path,
            "decimal points in one column and decimal commas in another",
            "which of them part thousands is unknown",
            "write all numbers in one way",
        )
    return signs[0] if signs else "."


def _column_sign(path: Path, blocks: Sequence[str]) -> str:
    found, sure, whole = set(), False, False
    for block in blocks:
        found |= {sign for sign in ".," if sign in block}
        sure = sure or _DECIMAL.search(block) is not None
        whole = whole or _WHOLE.search(block) is not None
        if len(found) > 1:
            two = _TWO_SIGNS.search(block)
            raise refuse(
                path,
                f"points and commas in one column{f', as in {two[0][:20]!r}' if two else ''}",
                "which of them part thousands is unknown",
                "write the numbers without thousands separators",
            )
    if found and whole and not sure:
        raise refuse(
            path,
            f"numbers such as 1{min(found)}234 beside whole ones",
            "the sign may be a decimal one or part thousands",
            "write the numbers without thousands separators, or with another number of decimals",
        )
    return found.pop() if found else ""


def parse_block(path: Path, block: str, lines: Sequence[int], decimal: str) -> np.ndarray:
    """Return the numbers of a block of a column, missing ones NaN.

    Parameters
    ----------
    path
        The file, for the refusal.
    block
        One field a line.
    lines
        The number of each line in the file.
    decimal
        The decimal sign.

    Raises
    ------
    RecordError
        If a field is neither a number nor a mark for a missing one; the line is named.
    """
    text = block.replace(",", ".") if decimal == "," else block
    fields = text.split("\n")
    if _ONLY_FLOAT.isdisjoint(text):
        try:
            return np.array(list(map(float, fields)))
        except ValueError:
            pass
    return np.array([_number(path, *pair) for pair in zip(fields, lines, strict=True)])


def _number(path: Path, field: str, line: int) -> float:
    text = plain_field(field)
    if text.casefold() in MISSING_MARKS:
        return math.nan
    if not _NUMBER.fullmatch(text) or "," in text:
        raise refuse(
            path,
            f"{text[:30]!r} in line {line:,}",
            "it is no number and no mark for a missing one",
            "write NaN where a sample is missing, and nothing but numbers elsewhere",
        )
    return float(text.lower().replace("d", "e"))
