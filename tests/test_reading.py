"""Reading order: who knows no ECG can follow chapters 01 to 05 with the glossary alone."""

import ast
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from IPython.display import display

from ecgnb.book.chapter import Chapter
from ecgnb.reconstruction import scores

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
CHAPTERS = sorted(BOOK.glob("0[1-5]_*.ipynb"))
# Words that a second-year student need not know. Used in chapters 01-05, they are in the glossary.
TECHNICAL = """
    electrode, lead, limb lead, chest lead, precordial, Einthoven, Goldberger, P wave, QRS, T wave,
    R peak, PR segment, ST segment, RR, QT, ectopic, alternans, dipole, Frank, Dower, Kors,
    vectorcardiogram, infarction, cardiomyopathy, bundle branch, dysrhythmia, hypertrophy,
    valvular, myocarditis, arrhythmia, atria, ventricle, twadb, ptbdb, INCART, PhysioNet,
    baseline, artefact,
    band-pass, corner frequency, Butterworth, resampl, sampling rate, saturated, power density,
    spectrum, root mean square, singular, eigenvalue, covariance, correlation, squared error,
    median, decile, percentile, bootstrap, interval, permutation, Spearman, significance, p-value,
    least squares, intercept, regression, ridge, penalty, lag, residual, closed form, overfit,
    nearest neighbour, training part, validation part, test part, leak, hyperparameter, epoch,
    network, convolution, dense layer, weight, gradient, optimiser, loss, seed, batch, dropout,
    attention, transformer, embedding, latent, autoencoder, Grad-CAM, principal component,
    calibration, population model, personal model, visible lead, hidden lead, multiverse, kernel
"""
# Words of everyday use, and the few technical ones that the text explains where it uses them.
EXPLAINED = {"Butterworth", "optimiser"}
ABBREVIATIONS = {"AVL", "PTB", "DATA", "III", "HTML", "CSV", "II", "SNR", "CPU"}


def groups():
    """Return the terms of the glossary, each with its other names, lower case."""
    found = []
    for block in re.findall(
        r"```\{glossary\}\n(.*?)```", (BOOK / "glossary.md").read_text(), re.S
    ):
        for entry in re.split(r"\n\n+", block.strip()):
            names = [line for line in entry.splitlines() if line and not line.startswith(" ")]
            found.append([name.lower() for name in names])
    return found


def prose(path):
    """Return the words of a chapter without code, headings and roles other than term, in order."""
    cells = [
        c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown"
    ]
    text = "\n\n".join(cells)
    text = re.sub(r"```python.*?```", " ", text, flags=re.S)
    text = re.sub(r"^(#+ .*|\(ch-.*|:class:.*|```.*)$", " ", text, flags=re.M)
    text = re.sub(r"(\{[a-z:]+\})?`[^`]*`", lambda m: m[0] if m[1] == "{term}" else " ", text)
    return re.sub(r"\]\([^)]*\)", "]", text)


def linked(text):
    """Return the text with linked and emphasised pieces in brackets, and the targets."""
    targets = []

    def mark(match):
        shown, target = re.fullmatch(r"(.*?)(?:\s*<(.*)>)?", match[1], re.S).groups()
        targets.append(" ".join((target or shown).split()).lower())
        return f"⟦{len(targets) - 1}:{shown}⟧"

    text = re.sub(r"\{term\}`([^`]*)`", mark, text)
    return re.sub(r"\*\*([^*]+)\*\*", r"⟦:\1⟧", text), targets


def first_uses(path):
    """Return for each term that a chapter uses whether its first use is linked or a definition."""
    text, targets = linked(" ".join(prose(path).split()))
    names = sorted(((n, group[0]) for group in groups() for n in group), key=lambda x: -len(x[0]))
    taken, uses = [False] * len(text), {}
    spans = [(m.start(), m.end(), m[1]) for m in re.finditer(r"⟦(\d*):[^⟧]*⟧", text)]
    for start, end, number in spans:
        if number:
            owner = [group[0] for group in groups() if targets[int(number)] in group]
            uses.setdefault(owner[0] if owner else "?", []).append((start, True))
            taken[start:end] = [True] * (end - start)
    for name, owner in names:
        pattern = re.escape(name).replace(r"\ ", r"[\s-]") + r"(s|es)?\b"
        for match in re.finditer(rf"(?<![\w-]){pattern}", text, flags=re.IGNORECASE):
            if any(taken[match.start() : match.end()]):
                continue
            taken[match.start() : match.end()] = [True] * len(match[0])
            bold = any(start < match.start() < end for start, end, number in spans if not number)
            uses.setdefault(owner, []).append((match.start(), bold))
    return {
        name: (min(found)[1], text[max(0, min(found)[0] - 40) :][:90])
        for name, found in uses.items()
    }


each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@each_chapter
def test_the_first_use_of_a_term_in_a_chapter_is_linked_or_is_its_definition(path):
    uses = first_uses(path)
    assert len(uses) > 15
    assert {name: around for name, (fine, around) in uses.items() if not fine} == {}


@each_chapter
def test_every_link_to_the_glossary_has_its_term(path):
    known = {name for group in groups() for name in group}
    assert set(linked(prose(path))[1]) - known == set()


@each_chapter
def test_a_technical_word_that_a_chapter_uses_is_in_the_glossary(path):
    explained = " ".join(name for group in groups() for name in group)
    explained += (BOOK / "glossary.md").read_text().lower()
    text = linked(prose(path))[0]
    words = [word.strip() for word in " ".join(TECHNICAL.split()).split(",")]
    used = [word for word in words if re.search(rf"\b{re.escape(word)}", text, re.IGNORECASE)]
    assert len(used) > 10
    assert [w for w in used if w.lower() not in explained and w not in EXPLAINED] == []


@each_chapter
def test_an_abbreviation_that_a_chapter_uses_is_explained(path):
    explained = (BOOK / "glossary.md").read_text() + (BOOK / "notation.md").read_text()
    used = set(re.findall(r"\b[A-Z]{2,}\b", linked(prose(path))[0])) - ABBREVIATIONS
    assert {word for word in used if not re.search(rf"\b{word}\b", explained)} == set()


def test_no_two_entries_of_the_glossary_share_a_name():
    names = [name for group in groups() for name in group]
    assert len(names) > 60
    assert sorted(set(names)) == sorted(names)


def test_the_notation_has_every_column_of_the_tables_of_scores():
    text = (BOOK / "notation.md").read_text()
    pairs = pd.DataFrame({name: [0.1, 0.2] for name in scores.SCORES})
    pairs = pairs.assign(record=["a", "b"], origin="", input_lead="I", output_lead="II")
    pairs = pairs.assign(method="mean")
    columns = [*pairs.columns, *scores.summarise(pairs).columns]
    assert [name for name in columns if name != "method" and f"`{name}`" not in text] == []


def test_the_notation_names_every_method_of_the_recorded_run():
    text = (BOOK / "notation.md").read_text()
    table = pd.read_csv(ROOT / "results" / "reconstruction.csv.gz", usecols=["method"])
    assert [name for name in table["method"].unique() if f"`{name}`" not in text] == []


# A sentence around a computed number takes its word from the number, or a cell asserts it.
#
# The rule: where a sentence holds a glued number and a word that compares or judges (`JUDGING`),
# it also holds a glued word (`:s`, chosen by a number), or one of its numbers stands in an
# `assert` that every run reaches: at the top level of a cell, not under an `if`.
JUDGING = r"""
    less|more|only|better|worse|higher|lower|larger|smaller|fewer|longer|shorter|
    falls?|rises?|gains?|loses?|beats|wins?|misses|exceeds?|instead|hardly|stays?|
    ahead|outside|enough|nearly|at most|at least|differs?
"""
WORDS = "|".join(word.strip() for word in JUDGING.split("|"))
JUDGING = re.compile(rf"\b({WORDS})\b", re.IGNORECASE)
GLUED = re.compile(r"\{glue:text\}`([a-z0-9_]+):([^`]*)`")
LATER = ("14_choose_your_leads", "15_does_the_message_survive", "scorecard", "try_it")
JUDGED = [BOOK / f"{name}.ipynb" for name in LATER]
JUDGED = [*CHAPTERS, *JUDGED]
each_judged = pytest.mark.parametrize("path", JUDGED, ids=lambda path: path.stem)


def cells_of(path, kind):
    return [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def asserted(code):
    """Names in the asserts at the top level of cells; one about all `numbers` is no judgement."""
    nodes = [
        node for cell in code for node in ast.parse(cell).body if isinstance(node, ast.Assert)
    ]
    found = {
        part.value
        for node in nodes
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    return found | {
        part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)
    }


def unjudged(texts, code):
    """Sentences with a number and a judging word that nothing asserts and no number chooses."""
    known, found = asserted(code), []
    for text in texts:
        for sentence in re.split(r"(?<=[.:;!?])\s+(?![0-9])|\n\n|\n\|", text):
            glued = GLUED.findall(sentence)
            bare = GLUED.sub(" ", re.sub(r"\{\w+(:\w+)?\}`[^`]*`(?!:)", keep_term, sentence))
            if not glued or not JUDGING.search(bare):
                continue
            stems = {re.sub(r"_(low|high|n)$", "", name) for name, _ in glued}
            if not any(shown.endswith("s") for _, shown in glued) and not stems & known:
                found.append(" ".join(sentence.split()))
    return found


def keep_term(match):
    return match[0] if match[0].startswith("{glue:text}") else " "


@each_judged
def test_a_word_beside_a_number_is_chosen_by_it_or_asserted(path):
    assert unjudged(cells_of(path, "markdown"), cells_of(path, "code")) == []


PLANTED = "The 2-D head is {glue:text}`gain:.2f` better on real records."


@pytest.mark.parametrize(
    ("text", "code", "caught"),
    [
        (PLANTED, [], True),
        (PLANTED, ["numbers = {}\nif real:\n    assert numbers['gain'] > 0"], True),
        (PLANTED, ["assert numbers['other'] > 0"], True),
        (PLANTED, ["assert numbers['gain'] > 0"], False),
        ("It is {glue:text}`gain:.2f` {glue:text}`word:s`, and better so.", [], False),
        ("There are {glue:text}`n:.0f` records.", [], False),
    ],
)
def test_the_rule_finds_planted_sentences(text, code, caught):
    assert bool(unjudged([text], code)) is caught


class Recorded(Chapter):
    """A chapter whose own run is the recorded one; it keeps what is glued."""

    def __init__(self, tables):
        self.__dict__.update(tables=tables, glued={}, words={}, simulated=True)

    def recorded(self, name):
        return pd.read_csv(next((ROOT / "results").glob(f"{name}.csv*")))

    def read_table(self, chapter, name):
        return self.tables[chapter]

    def save_table(self, name, table):
        pass

    def glue(self, name, value):
        self.glued[name] = value

    def glue_all(self, numbers):
        self.glued |= numbers

    def glue_words(self, words):
        self.words |= words


# Cells that need the recordings themselves are left out; their tables are given.
NEEDS_SIGNALS = re.compile(r"open_chapter\(|prepare|show_source|predict_test|plot_ecg|Literal")


@pytest.fixture(scope="module")
def runs():
    """The names of chapters 03 and 05 before their last cells, as on recorded tables."""
    recorded = pd.read_csv(ROOT / "results" / "reconstruction.csv.gz")
    heads = pd.read_csv(ROOT / "results" / "heads.csv.gz")
    few = recorded[recorded["record"].isin(heads["record"])]
    found = {}
    for name in ("03_least_squares", "05_every_lead"):
        chapter = Recorded({"03_least_squares": few, "04_cnn": heads})
        cells = cells_of(BOOK / f"{name}.ipynb", "code")
        names = {"chapter": chapter, "scores": few, "ladder": scores.summarise(few)}
        names["display"] = display
        if name == "05_every_lead":
            names["scores"] = pd.concat([few, heads])
        names["shown"] = ["n_heart", "r_mean", "r_lowest", "mse_mean", "beyond_median"]
        first = next(n for n, cell in enumerate(cells) if "chapter.glue_all(" in cell)
        for cell in cells[:first]:
            if not NEEDS_SIGNALS.search(cell) or cell.startswith(("import", "chapter.save")):
                exec(cell, names)
        found[name] = names, cells[first:]
    plt.close("all")
    return found


def judge(runs, chapter, flipped=None):
    """Run the last cells of a chapter, with the sign of one glued number turned."""
    names, cells = runs[chapter]
    names = names | {"numbers": dict(names["numbers"])}
    cells = list(cells)
    if flipped:
        turn = f"numbers[{flipped!r}] *= -1\nchapter.glue_all("
        cells = [cell.replace("chapter.glue_all(", turn, 1) for cell in cells]
    for cell in cells:
        exec(cell, names)
    return names


@pytest.mark.parametrize("chapter", ["03_least_squares", "05_every_lead"])
def test_on_real_data_every_chapter_asserts_what_it_says_and_a_flipped_sign_is_caught(
    chapter, runs
):
    held = judge(runs, chapter)
    assert len(held["numbers"]) > 12
    assert min(map(float, held["numbers"].values())) > 0
    for name in held["numbers"]:
        with pytest.raises(AssertionError):
            judge(runs, chapter, flipped=name)
