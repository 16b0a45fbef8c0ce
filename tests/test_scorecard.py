"""The page of verdicts: a card per claim, the reader's own numbers beside the recorded ones."""

import html
import itertools

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest

from ecgnb.book import claims, questions, scorecard
from ecgnb.book.chapter import ROOT, Chapter
from ecgnb.book.claims import CLAIMS, Claim, Evidence, OwnRun
from ecgnb.book.scorecard import VERDICTS
from ecgnb.files import MissingArtifactError
from ecgnb.studies.heads import HEAD_CELLS, compare_cells

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
    told = {"measured": "r <1; r 2", "data": "12 records", "parts": "a: 1 of 4; b: 0 of 4"}
    rows = [claim.texts() | told | {"share_of_tests": 0.125} for claim in CLAIMS]
    table = pd.DataFrame(rows).rename(columns={"name": "claim"})
    return table.assign(verdict=[VERDICTS[place % 4] for place in range(len(table))])


def test_the_numbers_of_the_readers_run_stand_beside_those_of_the_recorded_run(card):
    own = claims.add_own_run(card, Numbers()).set_index("claim")["own"]
    assert own["cnn-scores"] == "mean r 0.50 (1-D head), 0.75 (2-D head) (simulated)"
    assert own["ls-scores"] == "not measured in this run (simulated)"
    assert own["symptoms-affect-cnn"] == "not measured in this run (simulated)"


def test_an_own_number_that_its_chapter_does_not_save_is_an_error(card):
    with pytest.raises(ValueError, match=r"chapter 04_cnn saves no number best_r"):
        claims.add_own_run(card, Numbers(without=("best_r",)))


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


def rule_of(name):
    return {claim.name: claim.rule for claim in CLAIMS}[name]


def test_every_claim_says_how_it_is_judged():
    assert [claim.name for claim in CLAIMS if len(claim.judged.split()) < 8] == []


def test_better_than_claimed_is_no_failure(heads):
    perfect = heads.assign(r=0.99, mse=0.001)
    poor = heads.assign(r=0.3, mse=0.2)
    found = [rule_of("cnn-scores")(Evidence(Recorded(heads=one))) for one in (perfect, poor)]
    assert [one.share_of_tests for one in found] == [1.0, 0.0]


def test_a_difference_that_may_be_chance_cannot_be_told_and_one_in_the_wrong_sense_fails(heads):
    wrong = {"cnn_1d": "cnn_2d", "cnn_2d": "cnn_1d"}
    swapped = heads.assign(method=heads["method"].replace(wrong))
    noise = heads.assign(r=np.random.default_rng(0).normal(size=len(heads)))
    outcomes = [
        rule_of("2d-beats-1d")(Evidence(Recorded(heads=one))).tests[0]
        for one in (heads, swapped, noise)
    ]
    assert [(one.passed, one.told, one.open) for one in outcomes] == [
        (1, 1, 0), (0, 1, 0), (0, 0, 1)
    ]  # fmt: skip


def test_the_verdict_on_the_heads_follows_from_the_cells(heads):
    cells = compare_cells(heads, HEAD_CELLS[1:])
    around = rule_of("2d-beats-1d")(Evidence(Recorded(heads=heads))).tests[-1]
    assert around.passed == (cells["head_gain_low"] > 0).sum()
    assert around.told == around.passed + (cells["head_gain_high"] < 0).sum()
    assert around.told + around.open == len(cells) == 4


def test_in_part_names_the_part_and_its_count(heads):
    table = pd.read_csv(ROOT / "results" / "reconstruction.csv.gz")
    scored = claims.score_claims(Recorded(heads=heads, reconstruction=table)).set_index("claim")
    row = scored.loc["feasible"]
    assert row["verdict"] == "holds in part"
    assert "ptbdb hearts with a mean r above 0.95: " in row["parts"]
    assert " of 22; " in row["parts"] or " of 22" in row["parts"]
    assert "another recording: cannot be told" in row["parts"]
    assert row["data"].startswith("60 real records of 33 hearts (27 recorded, 6 synthetic)")
    assert 0 < row["share_of_tests"] < 1


def test_other_recordings_count_by_heart_once_they_are_recorded():
    tables = {"reconstruction": "reconstruction.csv.gz", "days/pairs_10s": "days/pairs_10s.csv.gz"}
    read = {name: pd.read_csv(ROOT / "results" / file) for name, file in tables.items()}
    days = read["days/pairs_10s"].query("method == 'another_day'")
    found = rule_of("feasible")(Evidence(Recorded(**read))).tests[-1]
    assert found.part == "hearts with a mean r above 0.95 on another recording"
    assert found.passed == (days.groupby("heart")["r"].mean() > 0.95).sum()
    assert found.told == days["heart"].nunique() == 11


def test_the_scorecard_counts_hearts_and_no_records(heads):
    """More records of one heart change no verdict and no number but that of the records."""
    copies = heads[heads["record"] == "twa11"]
    more = pd.concat([heads, *(copies.assign(record=name) for name in ("twa19", "twa42"))])
    kept, again = (
        rule_of("2d-beats-1d")(Evidence(Recorded(heads=one))).measured for one in (heads, more)
    )
    assert kept.count("of 8 recorded hearts") == again.count("of 8 recorded hearts") == 2


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
    scorecard.show_cards(claims.add_own_run(card, Numbers()))
    text = shown[0]
    assert text.count('class="ecgnb-claim ') == 10
    assert "<li>r &lt;1</li><li>r 2</li>" in text
    assert 'href="04_cnn.html#what-did-the-recorded-heads-find"' in text
    assert text.count('<span style="width:12%"></span>') == 10
    assert "<li>a: 1 of 4</li><li>b: 0 of 4</li>" in text
    assert all(f"<dt>Rule</dt><dd>{html.escape(claim.judged)}</dd>" in text for claim in CLAIMS)
    assert all(f"</span> {word}</p>" in text for word in VERDICTS)


def test_every_mark_stands_in_the_column_of_its_verdict(card):
    _, axes = plt.subplots()
    scorecard.plot_verdicts(axes, card)
    places = [int(line.get_xdata()[0]) for line in axes.lines]
    assert places == [VERDICTS.index(word) for word in card["verdict"]]
    assert axes.get_xticklabels()[0].get_text() == "holds\n3 of 10"
    plt.close("all")


def test_the_picture_of_the_verdicts_names_claims_in_words_and_its_heads_stand_apart(card):
    figure, axes = plt.subplots(figsize=(6, 4.8), layout="constrained")
    scorecard.plot_verdicts(axes, card)
    figure.canvas.draw()
    heads = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(heads))
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[5] == "6  aVL matters least"
    assert not {claim.name for claim in CLAIMS} & {name[3:] for name in names[:9]}
    plt.close("all")


def test_the_numbers_quoted_from_a_chapter_are_glued_by_it():
    runs = {claim.name: claim.own for claim in CLAIMS if claim.own}
    assert len(runs) == 9
    for name, own in runs.items():
        notebook = nbformat.read(ROOT / "book" / f"{own.chapter}.ipynb", as_version=4)
        code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
        for key in own.names():
            assert f'"{key}"' in code, (name, key)


def results_of(name):
    paths = [ROOT / "results" / f"{name}{ending}" for ending in (".csv", ".csv.gz")]
    return pd.read_csv(next(path for path in paths if path.is_file()))


ASKED = ("lead_sets_people", "lead_sets_days", "watch_leads", "measures", "diagnosis")
ASKED = (*ASKED, "days/pairs_10s", "days/bands", "days/curve")


@pytest.fixture(scope="module")
def answers():
    tables = {name: results_of(name) for name in ASKED}
    return questions.answer_questions(Recorded(**tables)).set_index("question")


def test_every_question_is_answered_by_a_number_with_its_interval_and_hearts(answers):
    assert len(answers) == 9
    assert (answers["low"] <= answers["value"]).all()
    assert (answers["value"] <= answers["high"]).all()
    assert (answers["low"] < answers["high"]).all()
    assert answers["n"].min() >= 5
    for row in answers.itertuples():
        assert row.number.count(" to ") == 1, row.number
        assert min(len(row.what.split()), len(row.on.split())) > 4
        assert row.beside


@pytest.mark.parametrize("question", questions.QUESTIONS, ids=lambda one: one.name)
def test_a_question_leads_to_a_section_that_is_there(question):
    notebook = nbformat.read(ROOT / "book" / f"{question.chapter}.ipynb", as_version=4)
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    headings = [line for text in texts for line in text.splitlines() if line.startswith("## ")]
    assert f"## {question.section}" in headings


def test_a_question_without_its_table_stays_open_and_a_misspelt_column_is_an_error():
    table = results_of("days/pairs_10s")
    found = questions.answer_questions(Recorded(**{"days/pairs_10s": table}))
    told = found.set_index("question")["number"]
    assert set(told.index[told != "not recorded"]) == {"another-day", "expired"}
    with pytest.raises(KeyError, match="rmse_uv"):
        renamed = table.rename(columns={"rmse_uv": "mispelt"})
        questions.answer_questions(Recorded(**{"days/pairs_10s": renamed}))


def test_the_answers_follow_the_tables():
    table = results_of("days/pairs_10s")
    better = table.assign(r=np.where(table["method"] == "another_day", 0.5, table["r"]))
    found = questions.answer_questions(Recorded(**{"days/pairs_10s": better}))
    row = found.set_index("question").loc["another-day"]
    assert row["number"] == "0.500 (0.500 to 0.500)"
    assert row["n"] == 11
    bands = results_of("days/bands").assign(covered=0.25)
    found = questions.answer_questions(Recorded(**{"days/bands": bands})).set_index("question")
    assert found.loc["bands", "number"] == "25 % (25 % to 25 %)"


def test_a_card_per_question_has_number_hearts_and_link(answers, monkeypatch):
    shown = []
    monkeypatch.setattr(questions, "display", lambda thing: shown.append(thing.data))
    questions.show_answers(answers.reset_index())
    assert shown[0].count("ecgnb-question") == 9
    assert 'href="12_another_day.html#how-much-calibration-is-enough"' in shown[0]
    assert all(html.escape(number) in shown[0] for number in answers["number"])
    assert "11 hearts of ptbdb" in shown[0]


def test_a_question_needs_a_chapter_that_exists():
    one = questions.QUESTIONS[0]
    with pytest.raises(ValueError, match="is no chapter"):
        questions.Question(one.name, one.asks, "14_choose", one.section, one.rule)
