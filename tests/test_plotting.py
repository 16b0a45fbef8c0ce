"""One look for every figure: true ECG paper, colours that everybody can tell apart."""

import ast
import itertools
import json
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ecgnb.book.chapter import ROOT
from ecgnb.figures import ecg, maps, recordings, scores, style
from ecgnb.leads import LEADS
from ecgnb.records.labels import CONDITIONS
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

matplotlib.use("Agg")
# Machado, Oliveira and Fernandes (2009), full loss of one kind of cone; linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def linear_rgb(colour):
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast_to_white(colour):
    return 1.05 / (linear_rgb(colour) @ [0.2126, 0.7152, 0.0722] + 0.05)


def to_lab(rgb):
    relative = TO_XYZ @ np.clip(rgb, 0, 1) / [0.95047, 1.0, 1.08883]
    bent = np.where(relative > 0.008856, np.cbrt(relative), 7.787 * relative + 16 / 116)
    return 116 * bent[1] - 16, 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])


def ciede2000(first, second):
    """Return the colour difference of Sharma, Wu and Dalal (2005)."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    mean_c7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean_c7 / (mean_c7 + 25**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    dh = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh / 2))
    light, chroma, angle = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + dh / 2) % 360
    cos = [np.cos(np.radians(x)) for x in (angle - 30, 2 * angle, 3 * angle + 6, 4 * angle - 63)]
    t = 1 - 0.17 * cos[0] + 0.24 * cos[1] + 0.32 * cos[2] - 0.20 * cos[3]
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    turn = np.sin(np.radians(60 * np.exp(-(((angle - 275) / 25) ** 2))))
    turn *= -2 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    parts = (l2 - l1) / s_l, (c2 - c1) / s_c, hue / s_h
    return float(np.sqrt(sum(p**2 for p in parts) + turn * parts[1] * parts[2]))


def test_the_colour_difference_is_that_of_a_published_pair():
    first, second = (50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485)
    assert ciede2000(first, second) == pytest.approx(2.0425, abs=1e-4)
    assert ciede2000((50.0, 2.5, 0.0), (73.0, 25.0, -18.0)) == pytest.approx(27.1492, abs=1e-4)


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_of_the_conditions_are_told_apart_with_every_sight(sight):
    seen = {name: to_lab(SIGHT[sight] @ linear_rgb(c)) for name, c in style.PALETTE.items()}
    nearest = min(
        (ciede2000(seen[first], seen[second]), first, second)
        for first, second in itertools.combinations(seen, 2)
    )
    assert nearest[0] > 16, nearest


def test_every_colour_stands_out_from_white_paper():
    colours = [*style.PALETTE.values(), style.TRUTH, style.GUESS]
    assert min(map(contrast_to_white, colours)) >= 3
    assert list(style.PALETTE) == list(CONDITIONS)


def test_the_notation_documents_the_palette():
    text = (ROOT / "book" / "notation.md").read_text()
    rows = [f"| {name} |" in text and colour in text for name, colour in style.PALETTE.items()]
    assert all(rows)


def draw(n_lead=12, *, n_column=None, overlay=False, duration_s=2.5):
    style.use_style()
    times = np.arange(0, duration_s, 1 / 250)
    signals = np.sin(2 * np.pi * times) * np.linspace(0.2, 1.5, n_lead)[:, None]
    _, axes = plt.subplots(figsize=(9, 7), layout="constrained")
    leads = LEADS[:n_lead]
    guess = 0.5 * signals if overlay else None
    ecg.plot_ecg(axes, signals, 250.0, leads=leads, overlay=guess, n_column=n_column)
    axes.figure.canvas.draw()
    return axes, signals


def test_a_second_is_as_wide_as_two_and_a_half_millivolt_are_high():
    for n_lead in (1, 4, 12):
        axes, _ = draw(n_lead)
        to_pixels = axes.transData.transform
        width = to_pixels((1, 0))[0] - to_pixels((0, 0))[0]
        height = to_pixels((0, 1))[1] - to_pixels((0, 0))[1]
        assert width * style.MM_PER_MV == pytest.approx(height * style.MM_PER_S, rel=0.01)


def test_every_row_begins_with_a_pulse_of_1_mv():
    axes, _ = draw()
    pulses = [line for line in axes.lines if np.ptp(line.get_xdata()) == pytest.approx(0.2)]
    assert len(pulses) == 3
    assert all(np.ptp(line.get_ydata()) == pytest.approx(1) for line in pulses)


def test_twelve_leads_stand_in_the_four_columns_of_a_clinical_ecg():
    axes, _ = draw()
    places = {text.get_text(): text.get_position() for text in axes.texts}
    for column in (
        ("I", "II", "III"),
        ("aVR", "aVL", "aVF"),
        ("V1", "V2", "V3"),
        ("V4", "V5", "V6"),
    ):
        assert len({round(places[lead][0], 6) for lead in column}) == 1
        assert places[column[0]][1] > places[column[1]][1] > places[column[2]][1]


def test_the_traces_are_drawn_in_mv_and_inside_the_paper():
    axes, signals = draw(4, overlay=True)
    traces = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == signals.shape[1]]
    assert len(traces) == 8
    low, high = axes.get_ylim()
    assert all(low < trace.min() and trace.max() < high for trace in traces)
    sizes = [np.ptp(trace) for trace in traces[::2]]
    np.testing.assert_allclose(sizes, np.ptp(signals, axis=1))
    assert {line.get_color() for line in axes.lines} == {style.TRUTH, style.GUESS}


def test_the_axes_name_seconds_and_millivolts():
    axes, _ = draw()
    assert axes.get_xlabel() == "time / s (25 mm/s)"
    assert axes.get_ylabel() == "voltage / mV (10 mm/mV)"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "1", "2"] * 4


def test_the_name_of_a_condition_has_its_own_colour_in_every_figure():
    conditions = list(style.PALETTE)[:3]
    table = pd.DataFrame({"condition": np.repeat(conditions, 4), "rr_ms": np.arange(12.0)})
    axes = recordings.plot_by_condition(Figure().subplots(), {"one": table}, "rr_ms")
    colours = {label.get_text(): label.get_color() for label in axes.get_yticklabels()}
    assert colours == {condition: style.PALETTE[condition] for condition in conditions}


def test_a_map_is_drawn_with_each_sample_in_the_middle_of_its_cell():
    figure, axes = plt.subplots()
    maps.plot_map(axes, np.eye(12, 40), 100.0, before=10)
    left, right, *_ = axes.images[0].get_extent()
    width = (right - left) / 40
    assert left + 10.5 * width == pytest.approx(0)
    assert width == pytest.approx(0.01)
    plt.close(figure)


def test_the_power_of_each_measure_is_a_line_over_the_size_of_what_was_planted():
    rows = [
        (people, measure, "lead", "hypertrophy", size, share, share - 0.1, share)
        for people in ("simulated", "recorded")
        for measure in ("withheld", "latent_norm")
        for size, share in ((0.4, 0.9), (0.1, 0.2))
    ]
    columns = ["people", "measure", "axis", "condition", "size", "beyond", "low", "high"]
    figure, axes = plt.subplots()
    maps.plot_power(axes, pd.DataFrame(rows, columns=columns), axis="lead")
    drawn = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"
    ]
    assert len(drawn) == 2
    for line in drawn:
        np.testing.assert_allclose(line.get_xdata(), [10, 40])
        np.testing.assert_allclose(line.get_ydata(), [0.2, 0.9])
    plt.close(figure)


PAGE_PX, PHONE_PX, WIDE_PHONE_PX = 741, 342, 520  # what a figure gets; the last by tables.css


def label_px(width_in, shown_px):
    """The height of the smallest letters of a figure where a page shows it."""
    return style.SMALLEST_PT / 72 * shown_px / width_in


def test_the_widths_of_figures_make_their_letters_legible_on_page_and_phone():
    assert label_px(style.WIDTH_IN, PHONE_PX) >= 8
    assert label_px(style.WIDE_IN, WIDE_PHONE_PX) >= 8
    assert label_px(style.WIDE_IN, PAGE_PX) >= 9
    styles = (ROOT / "book/_static/tables.css").read_text()
    assert f"img.ecgnb-wide {{ width: {WIDE_PHONE_PX}px;" in styles


def figure_cells():
    """The source of every cell that sets the size of a figure, its width, and its class."""
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            source = "".join(cell["source"])
            found = re.search(r"figsize(?:=|\": )\(([\d.]+), ", source)
            if cell["cell_type"] == "code" and found:
                image = cell["metadata"].get("mystnb", {}).get("image", {})
                yield f"{path.stem} {cell['id']}", float(found[1]), image.get("classes", "")


def test_no_figure_of_a_notebook_is_wider_than_it_is_shown():
    cells = list(figure_cells())
    assert len(cells) > 30
    limits = {"": style.WIDTH_IN, "ecgnb-wide": style.WIDE_IN}
    assert [name for name, width, classes in cells if width > limits[classes]] == []


def small_letters(source):
    """Numbers and words in a piece of code that make letters smaller than the smallest."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in {"fontsize", "labelsize", "font_scale"}:
            value = node.value.value if isinstance(node.value, ast.Constant) else style.SMALLEST_PT
            if isinstance(value, str) or value < style.SMALLEST_PT:
                yield node.value.lineno, value


def test_no_figure_makes_its_letters_smaller():
    sources = {path.name: path.read_text() for path in (ROOT / "ecgnb/figures").glob("*.py")}
    for path in (ROOT / "book").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        sources[path.name] = "\n".join(code)
    assert {
        name: found for name, text in sources.items() if (found := [*small_letters(text)])
    } == {}
    planted = 'axes.legend(fontsize=7)\naxes.set_xticklabels(names, fontsize="small")'
    assert list(small_letters(planted)) == [(1, 7), (2, "small")]


def test_the_style_sets_no_letters_below_the_smallest():
    with matplotlib.rc_context():
        style.use_style()
        names = ("xtick.labelsize", "ytick.labelsize", "axes.labelsize", "legend.fontsize")
        assert {matplotlib.rcParams[name] for name in names} == {style.SMALLEST_PT}


def test_maps_that_are_compared_have_one_colour_scale():
    figure, axes = plt.subplots(1, 2)
    tables = [pd.DataFrame([[low, 0.5], [0.2, high]]) for low, high in ((0.1, 0.6), (0.3, 0.9))]
    scores.plot_matrices(
        axes, dict(zip(["least_squares", "best"], tables, strict=True)), label="r"
    )
    assert {place.collections[0].get_clim() for place in axes} == {(0.1, 0.9)}
    assert [place.get_title() for place in axes] == [
        "least squares", "nearest neighbours + network",
    ]  # fmt: skip
    assert len(figure.axes) == 3  # two maps, one bar
    plt.close(figure)


def test_shares_are_drawn_in_a_panel_for_each_map_with_a_mark_for_each_target():
    rows = [
        ("wave", name, map_name, target, 0.2, 0.1, 0.3)
        for map_name in ("Grad-CAM", "integrated gradients")
        for target in ("latent_norm", "top_latent", "error_T")
        for name in ("P", "QRS", "T")
    ]
    columns = ["axis", "name", "attribution", "target", "share", "low", "high"]
    figure, axes = plt.subplots(2, 1, layout="constrained")
    maps.plot_shares(axes, pd.DataFrame(rows, columns=columns), axis="wave")
    for place, title in zip(axes, ("Grad-CAM", "integrated gradients"), strict=True):
        marks = [line for line in place.lines if len(line.get_xdata()) == 3]
        assert place.get_title() == title
        assert len(marks) == 3
        places = np.concatenate([line.get_xdata() for line in marks])
        assert np.diff(np.sort(places)).min() > 0.1  # no mark covers another
    plt.close(figure)


@pytest.mark.parametrize("plot", [recordings.plot_amplitudes, recordings.plot_t_waves])
def test_the_names_of_leads_do_not_touch_in_a_panel_of_half_a_page(plot):
    style.use_style()
    columns = [f"{wave}_mv_{lead}" for wave in ("qrs", "t") for lead in LEADS]
    table = pd.DataFrame(np.random.default_rng(0).random((5, len(columns))), columns=columns)
    figure, panels = plt.subplots(3, 2, figsize=(9, 10), layout="constrained")
    panels[2, 1].set_yticks([0], ["valvular heart disease"])  # all panels of a column shrink
    axes = plot(panels[0, 0], {"recorded": table})
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 + 2 < right.x0 for left, right in itertools.pairwise(boxes))


def test_hearts_stand_in_the_order_of_the_last_column_or_of_the_one_before():
    table = pd.DataFrame(
        {"same session": [0.9, 0.8, 0.7], "another day": [0.6, np.nan, 0.95]}, index=[*"abc"]
    )
    _, axes = plt.subplots()
    scores.plot_hearts(axes, table, label="share inside")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.get_xlabel() == "share inside"


def test_the_lines_of_the_legend_of_the_parts_can_be_seen():
    record = simulate_record(SimulationOptions(duration_s=12.0), seed=0).record
    axes = recordings.plot_parts(plt.subplots()[1], prepare_record(record), "V2")
    shown = axes.legend().get_lines()
    assert len(shown) == 3
    assert min(line.get_linewidth() for line in shown) >= 2
