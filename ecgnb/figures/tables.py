"""Tables for people: words with units, few columns, intervals in the cell, bars between rows.

What a name from the code is called in a header or a cell, and with how many decimals a column is
written, has its one home in `data/words.csv`; the names of methods are their titles in `METHODS`.
"""

import csv
import functools
import html
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from importlib import resources

import numpy as np
import pandas as pd
from IPython.display import HTML

from ecgnb.reconstruction.methods import METHODS
from ecgnb.text import clean_text

MOST_COLUMNS = 6  # what a page of 741 px holds without making the letters smaller

# Names with a part that varies: how they are written in full.
_PATTERNS = (
    (re.compile(r"qrs_mv_(\w+)"), r"QRS range in \1 / mV"),
    (re.compile(r"t_mv_(\w+)"), r"T wave in \1 / mV"),
    (re.compile(r"(rr|pr|qrs|qt)_ms"), lambda found: f"{found[1].upper()} / ms"),
    (re.compile(r"rr_variation_ms"), "change of RR / ms"),
    (re.compile(r"share_(\d)"), r"share of energy, direction \1"),
    (re.compile(r"power_([\d.]+)_hz"), r"power from \1 Hz / (µV²/Hz)"),
)

# A word with underscores that is not the name of a ptbdb record such as s0010_re.
_SNAKE = re.compile(r"\b(?!s\d)[A-Za-z]\w*_\w+\b")

# Columns whose limits are called `low` and `high` alone.
_BARE = ("difference", "ratio", "rank correlation", "value")

_BAR_PX, _BAR_HEIGHT = 84, 12

_DASH = '<abbr title="no value">&ndash;</abbr>'


@functools.cache
def _known_words() -> dict[str, tuple[str, int | None, bool]]:
    """Return of every name its words, its usual decimals and whether cells say it so as well.

    A cell that says "inside" means the word, not the column of that name.
    """
    text = resources.files("ecgnb").joinpath("data", "words.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    methods = {name: (method.title, None, True) for name, method in METHODS.items()}
    del methods["mean"]  # in most cells a mean of numbers
    return methods | {
        row["name"]: (
            row["words"],
            int(row["decimals"]) if row["decimals"] else None,
            row["cells"] == "yes",
        )
        for row in rows
    }


def show_table(
    table: pd.DataFrame,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    *,
    bar: str | None = None,
    decimals: int | None = None,
    per_row: bool = False,
) -> HTML:
    """Return a table for people, as HTML that is the same in every build.

    Rows are named by the last level of the index; the levels before it become lines between the
    rows, which stand together by them. An index without a name that only counts is left out: then
    the first column names the rows. A column with limits beside it (`r_mean` with `r_low` and
    `r_high`) shows them in its own cell. Numbers stand at the right, a value that is absent is a
    dash.

    Parameters
    ----------
    table
        What to show.
    columns
        Which ones, in order, or a mapping to the words of their headers. Without it all.
    bar
        A column whose values are drawn beside the numbers, as a dot with its interval.
    decimals
        Of every number, in place of what the column usually has.
    per_row
        Decimals are those of the row, where each row has a unit of its own.

    Raises
    ------
    ValueError
        For more than six columns, or a column whose words are not known.

    Examples
    --------
    >>> ridge = {"r_mean": 0.93, "r_low": 0.9, "r_high": 0.95, "n_heart": 27}
    >>> table = pd.DataFrame([ridge], index=pd.Index(["lagged_ridge"], name="method"))
    >>> page = show_table(table, ["n_heart", "r_mean"]).data
    >>> "lagged ridge" in page, "0.930" in page, "0.900 to 0.950" in page, "n_heart" in page
    (True, True, True, False)
    """
    table = _grouped(table)
    names = list(columns if columns is not None else _without_limits(table))
    counts = table.index.name is None and pd.api.types.is_integer_dtype(table.index.dtype)
    n_column = len(names) + (not counts)
    if n_column > MOST_COLUMNS:
        raise ValueError(
            f"a page holds {MOST_COLUMNS} columns, got {n_column} with that of the rows' names: "
            f"choose among {', '.join(map(str, names))}"
        )
    own = columns if isinstance(columns, Mapping) else {}
    places = [_decimals(row) for _, row in table[names].iterrows()] if per_row else decimals
    shown = [_Column(table, name, own.get(name), places, name == bar) for name in names]
    keys = [] if counts else _row_names(table.index)
    head = "" if counts else _corner(table.index)
    head += "".join(column.head() for column in shown)
    rows = [_row(cells, keys[n] if keys else "") for n, cells in enumerate(_cells(shown))]
    if not counts:
        rows = _with_groups(table.index, rows, n_column)
    return HTML(
        '<div class="ecgnb-table" role="region" tabindex="0" aria-label="table">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _grouped(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose rows stand together by the first levels of the index, in their order.

    Examples
    --------
    >>> index = pd.MultiIndex.from_tuples([("b", 1), ("a", 1), ("b", 2)])
    >>> _grouped(pd.DataFrame({"x": [1, 2, 3]}, index=index))["x"].tolist()
    [1, 3, 2]
    """
    if table.index.nlevels == 1:
        return table
    groups = pd.Series([key[:-1] for key in table.index])
    order = groups.map({group: place for place, group in enumerate(groups.unique())})
    return table.iloc[order.argsort(kind="stable")]


def _limits_of(table: pd.DataFrame, name: str) -> tuple[str, str] | None:
    """Return the columns with the limits of a column, or None if the table does not have them."""
    stems = [f"{str(name).removesuffix(end)}_" for end in ("", "_mean", "_ratio")]
    stems += [""] if name in _BARE else []
    pairs = ((f"{stem}low", f"{stem}high") for stem in stems)
    return next((pair for pair in pairs if set(pair) <= set(table.columns)), None)


def _without_limits(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table apart from those that are limits of another."""
    limits = {limit for name in table.columns for limit in _limits_of(table, name) or ()}
    return [name for name in table.columns if name not in limits]


def _words_of(name: object) -> str:
    """Return what the header of a column says.

    Examples
    --------
    >>> _words_of("n_heart"), _words_of("this run"), _words_of("V5")
    ('hearts', 'this run', 'V5')
    """
    if isinstance(name, tuple):
        return ", ".join(_words_of(part) for part in name if part != "")
    said = in_words(name) if " " in str(name) else _known_words().get(name, (name,))[0]
    if _SNAKE.fullmatch(str(said)):
        raise ValueError(
            f"no words for the column {name!r}: give them with `columns={{{name!r}: ...}}`, or "
            "for every table in data/words.csv"
        )
    return str(said)


def _escape(text: object) -> str:
    return html.escape(clean_text(str(text)))


def in_words(text: object) -> str:
    """Return a text whose names from the code are written as words, for tables and figures.

    Examples
    --------
    >>> in_words("qrs_mv_V1"), in_words("s0467_re"), in_words("first_one, V2")
    ('QRS range in V1 / mV', 's0467_re', 'first one, V2')
    """
    text = str(text)
    for pattern, words in _PATTERNS:
        if pattern.fullmatch(text):
            return pattern.sub(words, text)
    known = _known_words()
    if text in known:
        return known[text][0] if known[text][2] else text
    return _SNAKE.sub(lambda found: known.get(found[0], (found[0].replace("_", " "),))[0], text)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not _is_bool(value)


def _say(value: object) -> str:
    """Return what a cell or the name of a row says, as HTML.

    Examples
    --------
    >>> _say("average_beat_ridge"), _say("cnn_1d"), _say("II"), _say(True), _say({"n_lead": 12})
    ('average beat + residual ridge', 'CNN, 1-D head', 'II', 'yes', 'leads: 12')
    """
    if _is_bool(value):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{_say(key)}: {_say(one)}" for key, one in value.items())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _escape(in_words(value)) if value != "" else _DASH


def _decimals(values: pd.Series) -> int:
    """Return the decimals with which the middle value of a column has three digits, at most 4.

    Examples
    --------
    >>> _decimals(pd.Series([0.21, 0.93])), _decimals(pd.Series([12.0, 7.0]))
    (3, 0)
    """
    sizes = np.abs(values.to_numpy(dtype=float))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(sizes) or (sizes == np.round(sizes)).all():
        return 0
    return int(np.clip(2 - math.floor(math.log10(np.median(sizes))), 0, 4))


def _usual_decimals(name: object, values: pd.Series) -> int:
    """Return the decimals that a column usually has, or that its values ask for."""
    first = name[0] if isinstance(name, tuple) else name
    usual = _known_words().get(first, ("", None))[1]
    fit = _decimals(values)
    hidden = usual == 0 and fit > 1  # a column of that name that does not count here
    return fit if usual is None or hidden else usual


def _number(value: float, decimals: int) -> str:
    """Return a number with its decimals as HTML, without a minus before zero.

    Examples
    --------
    >>> _number(-0.0001, 2), _number(12345, 0), _number(-1.5, 1), _number(2.1e-7, 3)
    ('0.00', '12&#8239;345', '&minus;1.5', '2.1 &times; 10<sup>&minus;7</sup>')
    """
    if not math.isfinite(value):
        return _DASH
    if 0 < abs(value) < 1e-4:
        digits, power = f"{value:.1e}".split("e")
        text = f"{digits} &times; 10<sup>{int(power)}</sup>"
    else:
        text = f"{value:,.{decimals}f}"
        if float(text.replace(",", "")) == 0:
            text = text.lstrip("-")
    return text.replace(",", "&#8239;").replace("-", "&minus;")


def _not_zero(value: float, decimals: int) -> str:
    """Return a number, and of a positive one that its decimals would make zero, what it is below.

    Examples
    --------
    >>> _not_zero(0.0002, 3), _not_zero(0.0, 3), _not_zero(0.0021, 3)
    ('&lt; 0.001', '0.000', '0.002')
    """
    if value >= 1e-4 and round(value, decimals) == 0:
        return f"&lt; {10.0**-decimals:.{decimals}f}"
    return _number(value, decimals)


class _Column:
    """One column of a table: its header and its cells."""

    def __init__(
        self,
        table: pd.DataFrame,
        name: str,
        words: str | None,
        decimals: int | Sequence[int] | None,
        bar: bool,
    ) -> None:
        self.values, limits = table[name], _limits_of(table, name)
        self.limits = None if limits is None else table[list(limits)]
        self.words = words or _words_of(name)
        known = self.values.dropna()
        self.is_number = {_is_number(one) for one in known} == {True}
        if decimals is None and self.is_number:
            decimals = _usual_decimals(name, known)
        n_row = len(self.values)
        self.decimals = decimals if isinstance(decimals, Sequence) else [decimals] * n_row
        self.bar = bar and self.is_number

    def head(self) -> str:
        """Return the header."""
        more = ""
        if self.limits is not None and self.is_number:
            more = '<span class="ecgnb-range">95 % interval</span>'
        if self.bar:
            low, high = (_number(end, self.decimals[0]) for end in self._ends())
            more += f'<span class="ecgnb-range">bar: {low} to {high}</span>'
        kind = ' class="ecgnb-number"' if self.is_number else ""
        return f'<th scope="col"{kind}>{_escape(self.words)}{more}</th>'

    def cells(self) -> list[str]:
        """Return a cell for each row."""
        return [self._cell(row) for row in range(len(self.values))]

    def _cell(self, row: int) -> str:
        value = self.values.iloc[row]
        if not isinstance(value, Mapping) and pd.isna(value):
            kind = ' class="ecgnb-number"' if self.is_number else ""
            return f"<td{kind}>{_number(math.nan, 0)}</td>"
        if not _is_number(value):
            return f"<td>{_say(value)}</td>"
        decimals = self.decimals[row]
        decimals = _decimals(pd.Series([value])) if decimals is None else decimals
        bar = self._drawn(row) if self.bar else ""
        write = _not_zero if self.limits is None else _number
        text = f"{bar}{write(float(value), decimals)}{self._range(row)}"
        return f'<td class="ecgnb-number">{text}</td>'

    def _range(self, row: int) -> str:
        if self.limits is None:
            return ""
        low, high = self.limits.iloc[row].astype(float)
        if math.isnan(low) or math.isnan(high):
            return ' <span class="ecgnb-range">(no interval)</span>'
        ends = (_number(end, self.decimals[row]) for end in (low, high))
        return f' <span class="ecgnb-range">({" to ".join(ends)})</span>'

    def _ends(self) -> tuple[float, float]:
        """Return where the bars of the column begin and end."""
        parts = [self.values] if self.limits is None else [self.values, self.limits.stack()]
        known = pd.concat(parts).astype(float).dropna()
        return float(known.min()), float(known.max())

    def _drawn(self, row: int) -> str:
        """Return a dot, and a bar for its interval, between the ends of the column."""
        first, last = self._ends()
        inner = _BAR_PX - 8
        values = [self.values.iloc[row]]
        values += [] if self.limits is None else list(self.limits.iloc[row])
        places = [
            None if pd.isna(value) else round(4 + inner * (value - first) / (last - first or 1), 1)
            for value in values
        ]
        middle, drawn = _BAR_HEIGHT / 2, ""
        if len(places) == 3 and None not in places:
            drawn = (
                f'<line x1="{places[1]}" x2="{places[2]}" y1="{middle}" y2="{middle}" '
                'stroke="currentColor" stroke-width="2"/>'
            )
        drawn += f'<circle cx="{places[0]}" cy="{middle}" r="3.5" fill="currentColor"/>'
        return (
            f'<svg class="ecgnb-dot" width="{_BAR_PX}" height="{_BAR_HEIGHT}" '
            f'viewBox="0 0 {_BAR_PX} {_BAR_HEIGHT}" aria-hidden="true">'
            f'<line x1="0" x2="{_BAR_PX}" y1="{middle}" y2="{middle}" stroke="currentColor" '
            f'stroke-opacity="0.25"/>{drawn}</svg>'
        )


def _cells(columns: Sequence[_Column]) -> list[tuple[str, ...]]:
    """Return the cells of each row."""
    return list(zip(*(column.cells() for column in columns), strict=True))


def _row(cells: Sequence[str], name: str) -> str:
    """Return one row; where it has no name of its own, a first cell of words names it."""
    first, *others = cells
    if not name and first.startswith("<td>"):
        first = f'<th scope="row">{first[4:-5]}</th>'
    return f"<tr>{name}{first}{''.join(others)}</tr>"


def _corner(index: pd.Index) -> str:
    """Return the header of the rows' names."""
    name = index.names[-1]
    return "<td></td>" if name is None else f'<th scope="col">{_escape(_words_of(name))}</th>'


def _row_names(index: pd.Index) -> list[str]:
    """Return the cell with the name of each row."""
    return [f'<th scope="row">{_say(key)}</th>' for key in index.get_level_values(-1)]


def _with_groups(index: pd.Index, rows: Sequence[str], n_column: int) -> list[str]:
    """Return rows with a line before each that begins another group, as the first levels say."""
    found, before = [], ()
    for key, row in zip(index, rows, strict=True):
        levels = key[:-1] if isinstance(key, tuple) else ()
        if levels != before:
            before, named = levels, zip(index.names, levels, strict=False)
            words = ", ".join(
                _say(level) if isinstance(level, str) else f"{_words_of(name)}: {level}"
                for name, level in named
            )
            head = f'<th scope="colgroup" colspan="{n_column}">{words}</th>'
            found.append(f'<tr class="ecgnb-group">{head}</tr>')
        found.append(row)
    return found


_MARKS = {"passes": "\N{CHECK MARK}", "fails": "\N{BALLOT X}"}


def show_verdicts(runs: Mapping[str, pd.DataFrame]) -> HTML:
    """Return the audits of several runs side by side: a row per test, a column per map and run.

    A cell has the verdict, and the lowest and highest number over the targets that were judged.

    Parameters
    ----------
    runs
        By the name of the run a table of `audit.judge_audit`.
    """
    columns = {}
    for run, verdicts in runs.items():
        for row in verdicts.to_dict("records"):
            mark = _MARKS.get(row["verdict"], "\N{CIRCLE WITH LEFT HALF BLACK}")
            ends = " to ".join(
                html.unescape(_number(round(row[end], 2), 2)) for end in ("lowest", "highest")
            )
            cell = {f"{row['test']} ({row['rule']})": f"{mark} {row['verdict']}, {ends}"}
            columns.setdefault((row["attribution"], run), {}).update(cell)
    table = pd.DataFrame({key: columns[key] for key in sorted(columns, key=lambda key: key[0])})
    order = dict.fromkeys(test for cells in columns.values() for test in cells)
    return show_table(table.reindex(_in_order(list(columns.values()), order)))


def _in_order(columns: Sequence[Mapping[str, str]], names: Mapping[str, None]) -> list[str]:
    """Return names in the order of the longest column that has them, the others behind."""
    longest = list(max(columns, key=len))
    return longest + [name for name in names if name not in longest]
