"""The page of verdicts: a card per claim, the reader's own numbers beside the recorded ones."""

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from ecgnb import scorecard
from ecgnb.claims import CLAIMS, VERDICTS
from ecgnb.report import ROOT, Chapter
from ecgnb.tasks import MissingArtifactError

matplotlib.use("Agg")


class Numbers(Chapter):
    """A chapter whose run holds the numbers of chapter 04 only."""

    def __init__(self):
        pass

    simulated = True

    def read_numbers(self, chapter, name):
        if chapter != "04_cnn":
            raise MissingArtifactError(chapter)
        return {"cnn_1d_r": 0.5, "cnn_2d_r": 0.75, "best_r": 0.9}


@pytest.fixture
def card():
    rows = [vars(claim) | {"measured": "r <1; r 2", "data": "60 records"} for claim in CLAIMS]
    table = pd.DataFrame(rows).rename(columns={"name": "claim"})
    return table.assign(verdict=[VERDICTS[place % 4] for place in range(len(table))])


def test_the_numbers_of_the_readers_run_stand_beside_those_of_the_recorded_run(card):
    own = scorecard.add_own_run(card, Numbers()).set_index("claim")["own"]
    assert own["cnn-scores"] == "mean r 0.50 (1-D head), 0.75 (2-D head) (simulated)"
    assert own["ls-scores"] == "not measured in this run (simulated)"
    assert own["symptoms-affect-cnn"] == "not measured in this run (simulated)"


def test_a_card_per_claim_holds_claim_numbers_data_verdict_and_link(card, monkeypatch):
    shown = []
    monkeypatch.setattr(scorecard, "display", lambda thing: shown.append(thing.data))
    scorecard.show_cards(scorecard.add_own_run(card, Numbers()))
    text = shown[0]
    assert text.count('class="ecgnb-claim ') == 10
    assert "<li>r &lt;1</li><li>r 2</li>" in text
    assert 'href="04_cnn.html#how-well-do-the-heads-do"' in text
    assert all(f"</span> {word}</p>" in text for word in VERDICTS)


def test_every_mark_stands_in_the_column_of_its_verdict(card):
    _, axes = plt.subplots()
    scorecard.plot_verdicts(axes, card)
    places = [int(line.get_xdata()[0]) for line in axes.lines]
    assert places == [VERDICTS.index(word) for word in card["verdict"]]
    assert axes.get_xticklabels()[0].get_text() == "holds\n3 of 10"
    plt.close("all")


def test_the_numbers_quoted_from_a_chapter_are_glued_by_it():
    for name, (chapter, words) in scorecard._OWN.items():
        notebook = nbformat.read(ROOT / "book" / f"{chapter}.ipynb", as_version=4)
        code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
        for key in pd.Series(words).str.findall(r"\{(\w+):")[0]:
            assert f'"{key}"' in code, (name, key)
