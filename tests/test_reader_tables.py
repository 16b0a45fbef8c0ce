"""Tables for people: words, few columns, sensible numbers, intervals in the cell."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgnb.figures.tables import MOST_COLUMNS, in_words, show_table, show_verdicts
from ecgnb.reconstruction.methods import METHODS

ROOT = Path(__file__).resolve().parent.parent


def ladder():
    rows = {
        "r_mean": [np.nan, 0.9587, 0.9752],
        "r_low": [np.nan, 0.9259, 0.9510],
        "r_high": [np.nan, 0.9793, 0.9890],
        "mse_mean": [0.0665, 0.006, -0.00001],
        "n_heart": [27, 27, 12345],
        "holds": [True, False, True],
    }
    return pd.DataFrame(rows, index=pd.Index(["mean", "average_beat", "best"], name="method"))


def texts(shown, tag="td"):
    """The cells of a table without their markup."""
    page = shown.data.replace("<td></td>", "")  # the corner of a table whose rows have no header
    cells = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, flags=re.DOTALL)
    return [re.sub(r"<svg.*?</svg>|<[^>]+>", "", cell).strip() for cell in cells]


def test_headers_and_names_of_rows_are_words():
    shown = show_table(ladder(), ["n_heart", "r_mean"])
    assert texts(shown, "th") == [
        "method", "hearts", "mean r95 % interval", "mean", "average beat",
        "nearest neighbours + network",
    ]  # fmt: skip


def test_an_interval_stands_in_the_cell_of_its_value_and_its_columns_are_gone():
    shown = show_table(ladder().drop(columns=["mse_mean", "n_heart", "holds"]))
    assert texts(shown) == ["&ndash;", "0.959 (0.926 to 0.979)", "0.975 (0.951 to 0.989)"]


def test_a_value_without_an_interval_says_so():
    table = ladder().assign(r_low=np.nan)
    assert texts(show_table(table, ["r_mean"]))[1] == "0.959 (no interval)"


def test_nothing_is_nan_and_nothing_is_minus_zero():
    table = pd.DataFrame({"a": [-0.0, np.nan, -0.0004], "b": [None, "x", ""]}, index=[*"pqr"])
    page = show_table(table, decimals=2).data
    assert not re.search(r"nan|None|(-|&minus;)0\.00<", page, flags=re.IGNORECASE)
    assert texts(show_table(table, decimals=2)) == [
        "0.00", "&ndash;", "&ndash;", "x", "0.00", "&ndash;",
    ]  # fmt: skip


def test_a_number_that_the_decimals_would_hide_keeps_its_size():
    table = pd.DataFrame({"gap": [2.1e-8, 0.5]}, index=["first", "second"])
    assert texts(show_table(table))[0] == "2.1 &times; 10&minus;8"


def test_a_small_number_is_below_its_last_digit_unless_an_interval_says_how_small():
    table = pd.DataFrame({"p": [0.0002], "difference": [0.0002]}, index=["x"])
    assert texts(show_table(table, decimals=3)) == ["&lt; 0.001", "&lt; 0.001"]
    table = table.assign(low=-0.01, high=0.01)
    assert texts(show_table(table, ["difference"], decimals=2)) == ["0.00 (&minus;0.01 to 0.01)"]


def test_thousands_are_apart_and_truth_is_yes_or_no():
    assert texts(show_table(ladder(), ["n_heart", "holds"]))[-2:] == ["12&#8239;345", "yes"]


def test_the_decimals_of_a_row_are_those_of_its_unit():
    table = pd.DataFrame({"one": [1000.0, 0.123], "two": [500.0, 0.2]}, index=["rate", "mean"])
    assert texts(show_table(table, per_row=True)) == ["1&#8239;000", "500", "0.123", "0.200"]


def test_the_first_levels_of_the_index_become_lines_between_the_rows():
    index = pd.MultiIndex.from_tuples(
        [("this run", 1, "VAE"), ("this run", 1, "PCA"), ("recorded", 3, "VAE")],
        names=["run", "n_lead", "method"],
    )
    shown = show_table(pd.DataFrame({"error": [1.5, 2.5, 3.5]}, index=index))
    assert texts(shown, "th") == [
        "method", "error", "this run, leads: 1", "VAE", "PCA", "recorded, leads: 3", "VAE",
    ]  # fmt: skip


def test_rows_of_a_group_stand_together_even_where_the_table_mixes_them():
    index = pd.MultiIndex.from_product([("first", "second"), ("cam", "path")]).swaplevel()
    shown = show_table(pd.DataFrame({"x": [1, 2, 3, 4]}, index=index))
    assert texts(shown, "th") == ["x", "cam", "first", "second", "path", "first", "second"]
    assert texts(shown) == ["1", "3", "2", "4"]


def test_a_cell_that_is_a_word_is_not_taken_for_the_column_of_that_name():
    table = pd.DataFrame({"inside": ["inside"]}, index=["same"])
    assert texts(show_table(table)) == ["inside"]
    assert texts(show_table(table), "th")[0] == "change, filtered inside the parts / mV"


def test_a_column_that_usually_counts_keeps_its_decimals_where_it_does_not():
    table = pd.DataFrame({"patients": [0.1447, 0.1304]}, index=["mean", "median"])
    assert texts(show_table(table)) == ["0.145", "0.130"]


def test_rows_that_only_count_have_no_numbers_and_the_first_column_names_them():
    shown = show_table(ladder().reset_index(), ["method", "n_heart"])
    assert texts(shown, "th") == [
        "method",
        "hearts",
        "mean",
        "average beat",
        "nearest neighbours + network",
    ]
    assert texts(shown) == ["27", "27", "12&#8239;345"]


def test_a_bar_has_its_ends_in_the_header_and_a_dot_per_known_row():
    page = show_table(ladder(), ["r_mean"], bar="r_mean").data
    assert "bar: 0.926 to 0.989" in page
    assert page.count("<circle") == 2
    places = [float(place) for place in re.findall(r'cx="([\d.]+)"', page)]
    assert places == sorted(places)
    assert 4 < places[0] < 80
    assert page.count('viewBox="0 0 84 12"') == 2  # shrinks as a whole on a phone


def test_too_many_columns_are_refused_with_what_there_is():
    wide = pd.DataFrame(np.ones((2, MOST_COLUMNS)), columns=[*"abcdef"], index=["x", "y"])
    with pytest.raises(ValueError, match=r"6 columns, got 7 .*choose among a, b, c, d, e, f"):
        show_table(wide)


def test_a_column_without_words_is_refused_unless_they_are_given():
    table = pd.DataFrame({"no_such_thing": [1.0]}, index=["x"])
    with pytest.raises(ValueError, match="no words for the column 'no_such_thing'"):
        show_table(table)
    assert "such things" in show_table(table, {"no_such_thing": "such things"}).data


def test_what_comes_from_a_file_cannot_become_markup():
    table = pd.DataFrame({"name": ["<script>alert(1)</script>"]}, index=["<b>\x1b[2J"])
    page = show_table(table).data
    assert "<script>" not in page
    assert "<b>" not in page
    assert "\x1b" not in page


def test_the_same_table_is_the_same_page():
    assert show_table(ladder(), ["r_mean"]).data == show_table(ladder(), ["r_mean"]).data


def test_names_of_records_keep_their_underscores():
    assert in_words("s0467_re") == "s0467_re"
    assert in_words("top_latent, latent_norm") == "most used latent, size of the latents"


def test_verdicts_of_runs_stand_side_by_side():
    rows = {
        "test": ["a", "a", "b"],
        "attribution": ["Grad-CAM", "integrated gradients", "integrated gradients"],
        "rule": ["≤ 0.5", "≤ 0.5", "≥ 1"],
        "lowest": [0.1, 0.2, 0.9],
        "highest": [0.3, 0.7, 1.1],
        "verdict": ["passes", "depends on the target", "fails"],
    }
    runs = {"this run": pd.DataFrame(rows), "recorded run": pd.DataFrame(rows)}
    shown = show_verdicts(runs)
    assert texts(shown, "th")[:3] == [
        "Grad-CAM, this run", "Grad-CAM, recorded run", "integrated gradients, this run",
    ]  # fmt: skip
    assert texts(shown, "th")[4:] == ["a (≤ 0.5)", "b (≥ 1)"]
    cells = texts(shown)
    assert cells[0].endswith("passes, 0.10 to 0.30")
    assert cells[4] == "&ndash;"


def test_every_name_has_its_words_once_and_none_is_a_name_of_the_code():
    with (ROOT / "ecgnb/data/words.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [row["name"] for row in rows]
    assert len(set(names)) == len(names)
    assert [row["words"] for row in rows if not row["words"] or "_" in row["words"]] == []
    assert all(row["decimals"] in {"", *"01234"} for row in rows)


def test_the_notation_says_what_names_of_columns_and_methods_are_called_on_the_pages():
    text = (ROOT / "book/notation.md").read_text()
    for name, method in METHODS.items():
        assert f"| `{name}` | {method.title} |" in text
    with (ROOT / "ecgnb/data/words.csv").open(encoding="utf-8", newline="") as file:
        words = {row["name"]: row["words"] for row in csv.DictReader(file)}
    part = text[text.index("## Columns of the recorded tables") : text.index("## Methods")]
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \| .* \|$", part, flags=re.MULTILINE)
    assert len(rows) > 15
    for names, said in rows:
        for name in re.findall(r"`(\w+)`", names):
            assert words.get(name, said) in said, name
