"""Diagrams are legible: letters large enough, inside their sheet, none upon another."""

import itertools

import matplotlib
import matplotlib.pyplot as plt
import pytest

from ecgnb.figures import diagram_parts, diagrams, diagrams_of_use, style

matplotlib.use("Agg")
DRAWN = [
    getattr(module, name)
    for module in (diagrams, diagrams_of_use)
    for name in sorted(vars(module))
    if name.startswith("draw_")
]
PHONE_PX, PAGE_PX = 342, 741  # widths at which a figure is shown


@pytest.fixture(params=DRAWN, ids=lambda draw: draw.__name__)
def drawn(request):
    style.use_style()
    axes = request.param(diagram_parts.sheet())
    axes.figure.canvas.draw()
    yield axes
    plt.close("all")


def boxes(axes):
    return [(text.get_text(), text.get_window_extent()) for text in axes.texts if text.get_text()]


def test_a_diagram_is_as_wide_as_a_page_and_its_letters_are_legible_on_a_phone(drawn):
    box = drawn.figure.get_tightbbox(drawn.figure.canvas.get_renderer())
    width_in = box.width + 2 * plt.rcParams["savefig.pad_inches"]
    smallest = min(text.get_fontsize() for text in drawn.texts)
    assert width_in == pytest.approx(style.WIDTH_IN, rel=0.01)
    assert smallest / 72 / width_in * PHONE_PX >= 8
    assert smallest / 72 / width_in * PAGE_PX >= 9


def test_every_letter_of_a_diagram_lies_inside_its_sheet(drawn):
    sheet = drawn.get_window_extent()
    outside = [
        text
        for text, box in boxes(drawn)
        if box.x0 < sheet.x0 or box.x1 > sheet.x1 or box.y0 < sheet.y0 or box.y1 > sheet.y1
    ]
    assert outside == []


def test_no_text_of_a_diagram_lies_upon_another(drawn):
    upright = [(t.get_text(), t.get_window_extent()) for t in drawn.texts if not t.get_rotation()]
    upright = [(text, box) for text, box in upright if text]
    covered = [
        (first, second)
        for (first, one), (second, other) in itertools.combinations(upright, 2)
        if one.padded(-1).overlaps(other.padded(-1))
    ]
    assert covered == []


def test_every_text_in_a_box_fits_it(drawn):
    for patch in drawn.patches:
        if isinstance(patch, matplotlib.patches.FancyBboxPatch):
            outer = patch.get_window_extent()
            for text, box in boxes(drawn):
                inside = outer.contains((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
                assert not inside or (box.x0 > outer.x0 and box.x1 < outer.x1), text


def test_a_planted_overlap_is_caught():
    axes = diagram_parts.open_sheet(diagram_parts.sheet(), 20)
    for x in (50, 52):
        diagram_parts.say(axes, x, 10, "a word")
    axes.figure.canvas.draw()
    (_, one), (_, other) = boxes(axes)
    assert one.overlaps(other)


def test_the_two_hearts_of_the_diagrams_are_alike_in_lead_ii_only():
    same, other = (abs(a - b).max() for a, b in (
        (diagram_parts.piece(lead), diagram_parts.piece(lead, twin=1)) for lead in ("II", "V3")
    ))  # fmt: skip
    assert same < 1e-6 < 0.1 < other


def test_the_counts_of_lead_sets_in_the_diagram_are_those_of_the_package():
    from ecgnb.reconstruction.lead_sets import lead_sets

    sets = lead_sets()
    axes = diagrams_of_use.draw_lead_sets(diagram_parts.sheet())
    words = {text.get_text() for text in axes.texts}
    assert f"{len(sets)}" in words
    assert f"{2**12 - 2:,}" in words
    assert len(sets) == 8 * 64 - 2
    plt.close("all")


def test_the_shapes_in_the_diagram_of_heads_are_those_of_the_network():
    from ecgnb.reconstruction.cnn import StackedCnn

    network = StackedCnn(1, "1d", 4)
    n_flat = network.narrow.weight.shape[1]
    n_channel = network.second.weight.shape[1]
    axes = diagrams.draw_heads(diagram_parts.sheet())
    words = " ".join(text.get_text() for text in axes.texts)
    assert f"{n_flat:,} numbers" in words
    assert f"{n_channel} channels x {n_flat // n_channel} moments" in words
    plt.close("all")
