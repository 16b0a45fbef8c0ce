"""From what a header says of a patient to one of the conditions of the book.

ptbdb writes a `Reason for admission`, the PhysioNet challenges SNOMED CT codes after `Dx`, LUDB a
finding a line after `<diagnoses>:`; the tables of codes and findings are `data/snomed.csv` and
`data/ludb.csv`. What is in no table is called unknown, never dropped.
"""

import csv
import functools
import re
from importlib import resources

CONDITIONS = (
    "healthy control",
    "myocardial infarction",
    "cardiomyopathy",
    "bundle branch block",
    "dysrhythmia",
    "hypertrophy",
    "valvular heart disease",
    "myocarditis",
)
HEALTHY, OTHER = CONDITIONS[0], "other"
_FINDINGS = "<diagnoses>:"

# Every wording of `Reason for admission` in ptbdb 1.0.0, in lower case. Heart failure counts as
# cardiomyopathy, as in the database's own table; angina, palpitation and n/a are `other`.
ADMISSIONS = {
    **{condition: condition for condition in CONDITIONS},
    "heart failure (nyha 2)": "cardiomyopathy",
    "heart failure (nyha 3)": "cardiomyopathy",
    "heart failure (nyha 4)": "cardiomyopathy",
    "stable angina": OTHER,
    "unstable angina": OTHER,
    "palpitation": OTHER,
    "n/a": OTHER,
}


@functools.cache
def snomed_conditions() -> dict[str, str]:
    """Return the condition behind each SNOMED CT code of the challenges 2020 and 2021.

    Examples
    --------
    >>> snomed_conditions()["164889003"]
    'dysrhythmia'
    """
    return {row["code"]: row["condition"] for row in _table("snomed")}


@functools.cache
def ludb_conditions() -> dict[str, str]:
    """Return the condition behind each finding of LUDB, which is written in lower case.

    The findings are judged as the challenges' codes of the same meaning are: a scar or an
    infarction with ST elevation is a myocardial infarction, ischaemia alone is `other`. A normal
    axis, also a horizontal or vertical one, says nothing against a healthy heart.

    Examples
    --------
    >>> ludb_conditions()["left ventricular hypertrophy"]
    'hypertrophy'
    """
    return {row["finding"]: row["condition"] for row in _table("ludb")}


def _table(name: str) -> list[dict[str, str]]:
    table = resources.files("ecgnb") / "data" / f"{name}.csv"
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def field_of(comments: tuple[str, ...], key: str) -> str:
    """Return what the comments say after `key:`, in any case, or an empty text.

    Examples
    --------
    >>> field_of(("Age: 74", "Dx: 59118001,426783006"), "dx")
    '59118001,426783006'
    >>> field_of(("<age>: 51", "<sex>: F"), "age")
    '51'
    """
    for comment in comments:
        name, _, value = comment.partition(":")
        if name.strip(" <>").lower() == key.lower():
            return value.strip()
    return ""


def unknown_diagnoses(comments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """Return what kind of diagnosis no table knows, and which, in their order; None if all are.

    Examples
    --------
    >>> unknown_diagnoses(("Dx: 59118001,123",))
    ('Dx code', ('123',))
    """
    if codes := tuple(code for code in _codes(comments) if code not in snomed_conditions()):
        return "Dx code", codes
    findings = tuple(one for one in _findings(comments) if one not in ludb_conditions())
    return ("finding", findings) if findings else None


def states_condition(comments: tuple[str, ...]) -> bool:
    """Return whether the comments say anything of a diagnosis.

    Examples
    --------
    >>> states_condition(("Dx: 59118001",)), states_condition(("Age: 74",))
    (True, False)
    """
    written = any(field_of(comments, key) for key in ("reason for admission", "dx"))
    return written or bool(_findings(comments))


def condition_of(comments: tuple[str, ...]) -> str:
    """Return the condition that a header's comments state, `unknown: ...` for what is new.

    Of several codes or findings the first one of a disease among the conditions counts. Sinus
    rhythm means a healthy control only where nothing but a normal axis stands beside it.

    Examples
    --------
    >>> condition_of(("Reason for admission: Heart failure (NYHA 3)",))
    'cardiomyopathy'
    >>> condition_of(("Reason for admission: Something new",))
    'unknown: something new'
    >>> condition_of(("Dx: 426783006,59118001",))
    'bundle branch block'
    >>> condition_of(("<diagnoses>:", "Rhythm: Sinus rhythm.", "I degree AV block."))
    'other'
    """
    wording = field_of(comments, "reason for admission").lower()
    if wording:
        return ADMISSIONS.get(wording, f"unknown: {wording}")
    found = [snomed_conditions().get(code, f"unknown: {code}") for code in _codes(comments)]
    found += [ludb_conditions().get(one, f"unknown: {one}") for one in _findings(comments)]
    diseases = [condition for condition in found if condition in CONDITIONS[1:]]
    if diseases:
        return diseases[0]
    if found and set(found) == {HEALTHY}:
        return HEALTHY
    return next((condition for condition in found if condition.startswith("unknown")), OTHER)


def _codes(comments: tuple[str, ...]) -> list[str]:
    return [code for code in re.split(r"[,\s]+", field_of(comments, "dx")) if code]


def _findings(comments: tuple[str, ...]) -> list[str]:
    """Return the findings in lower case that follow `<diagnoses>:`, a line each."""
    if _FINDINGS not in comments:
        return []
    lines = comments[comments.index(_FINDINGS) + 1 :]
    return [finding for line in lines if (finding := line.strip(" .").lower())]
