"""The page of verdicts: a card per claim, the reader's own numbers beside the recorded ones."""

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from ecgnb.book import claims, scorecard
from ecgnb.book.chapter import ROOT, Chapter
from ecgnb.book.claims import CLAIMS, VERDICTS, Claim, Evidence, OwnRun
from ecgnb.files import MissingArtifactError

matplotlib.use("Agg")


class Numbers(Chapter):
    """A chapter whose run holds the numbers of chapter 04 only, without some."""

    def __init__(self, *, without=()):
        self.__dict__["without"] = without

    simulated = True

    def read_numbers(self, chapter, name):
        if chapter != "04_cnn":
            raise MissingArtifactError(chapter)
        numbers = {"cnn_1d_r": 0.5, "cnn_2d_r": 0.75, "best_r": 0.9}
        return {key: value for key, value in numbers.items() if key not in self.without}


class Recorded(Chapter):
    """A chapter with some of the recorded tables and no run of its own."""

    def __init__(self, **tables):
        self.__dict__["tables"] = tables

    simulated = True

    def recorded(self, name):
        if name not in self.tables:
            raise MissingArtifactError(name)
        return self.tables[name]

    def read_table(self, chapter, name):
        raise MissingArtifactError(chapter)


@pytest.fixture
def card():
    rows = [claim.texts() | {"measured": "r <1; r 2", "data": "60 records"} for claim in CLAIMS]
    table = pd.DataFrame(rows).rename(columns={"name": "claim"})
    return table.assign(verdict=[VERDICTS[place % 4] for place in range(len(table))])


def test_the_numbers_of_the_readers_run_stand_beside_those_of_the_recorded_run(card):
    own = scorecard.add_own_run(card, Numbers()).set_index("claim")["own"]
    assert own["cnn-scores"] == "mean r 0.50 (1-D head), 0.75 (2-D head) (simulated)"
    assert own["ls-scores"] == "not measured in this run (simulated)"
    assert own["symptoms-affect-cnn"] == "not measured in this run (simulated)"


def test_an_own_number_that_its_chapter_does_not_save_is_an_error(card):
    with pytest.raises(ValueError, match=r"chapter 04_cnn saves no number best_r"):
        scorecard.add_own_run(card, Numbers(without=("best_r",)))


@pytest.fixture(scope="module")
def heads():
    return pd.read_csv(ROOT / "results" / "heads.csv.gz")


@pytest.mark.parametrize("column", ["r", "mse", "method", "record"])
def test_a_misspelt_column_is_an_error_and_no_verdict(heads, column):
    with pytest.raises(KeyError, match=column):
        claims.score_claims(Recorded(heads=heads.rename(columns={column: "mispelt"})))


def test_claims_whose_tables_are_absent_cannot_be_told_and_the_others_can(heads):
    scored = claims.score_claims(Recorded(heads=heads)).set_index("claim")
    told = {"cnn-scores", "2d-beats-1d"}
    assert set(scored.index[scored["verdict"] != "cannot be told"]) == told
    assert set(scored.loc[~scored.index.isin(told), "measured"]) == {"not measured in this run"}


def test_scores_without_a_2_d_head_are_an_error_and_no_verdict(heads):
    rule = {claim.name: claim.rule for claim in CLAIMS}["2d-beats-1d"]
    renamed = heads[heads["method"] == "cnn_1d"]
    with pytest.raises(ValueError, match="no score of a 2-D head, cnn_2d or cnn_2d_separable"):
        rule(Evidence(Recorded(heads=renamed)))


def test_a_claim_needs_a_rule_and_chapters_that_exist():
    texts = CLAIMS[0].texts()
    with pytest.raises(TypeError, match="rule"):
        Claim(**texts)
    rule = CLAIMS[0].rule
    for wrong in ({"chapter": "04_cnns"}, {"own": OwnRun("4_cnn", "r {cnn_1d_r:.2f}")}):
        with pytest.raises(ValueError, match="is no chapter"):
            Claim(**texts | {"rule": rule} | wrong)


def test_each_rule_about_maps_asks_for_its_own_claim():
    asked = {claim.name: claim.rule.args for claim in CLAIMS if hasattr(claim.rule, "args")}
    assert len(asked) == 5
    assert all(args == (name,) for name, args in asked.items())


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
    runs = {claim.name: claim.own for claim in CLAIMS if claim.own}
    assert len(runs) == 9
    for name, own in runs.items():
        notebook = nbformat.read(ROOT / "book" / f"{own.chapter}.ipynb", as_version=4)
        code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
        for key in own.names():
            assert f'"{key}"' in code, (name, key)
