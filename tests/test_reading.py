"""Reading order: who knows no ECG can follow chapters 01 to 05 with the glossary alone."""

import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from ecgnb.reconstruction import scores

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
    pairs = pairs.assign(record=["a", "b"], input_lead="I", output_lead="II", method="mean")
    columns = [*pairs.columns, *scores.summarise(pairs).columns]
    assert [name for name in columns if name != "method" and f"`{name}`" not in text] == []


def test_the_notation_names_every_method_of_the_recorded_run():
    text = (BOOK / "notation.md").read_text()
    table = pd.read_csv(ROOT / "results" / "reconstruction.csv.gz", usecols=["method"])
    assert [name for name in table["method"].unique() if f"`{name}`" not in text] == []
