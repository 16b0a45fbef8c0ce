"""From what a header says of a patient to one of the conditions of the book.

ptbdb writes a `Reason for admission`, the PhysioNet challenges SNOMED CT codes after `Dx`; the
table of the codes is `tables/snomed.csv`. What is in neither table is called unknown, never
dropped.
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
    table = resources.files("ecgnb") / "tables" / "snomed.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    return {row["code"]: row["condition"] for row in rows}


def field_of(comments: tuple[str, ...], key: str) -> str:
    """Return what the comments say after `key:`, in any case, or an empty text.

    Examples
    --------
    >>> field_of(("Age: 74", "Dx: 59118001,426783006"), "dx")
    '59118001,426783006'
    """
    for comment in comments:
        name, _, value = comment.partition(":")
        if name.strip().lower() == key.lower():
            return value.strip()
    return ""


def unknown_codes(comments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes after `Dx` that the table does not know, in their order.

    Examples
    --------
    >>> unknown_codes(("Dx: 59118001,123",))
    ('123',)
    """
    return tuple(code for code in _codes(comments) if code not in snomed_conditions())


def states_condition(comments: tuple[str, ...]) -> bool:
    """Return whether the comments say anything of a diagnosis.

    Examples
    --------
    >>> states_condition(("Dx: 59118001",)), states_condition(("Age: 74",))
    (True, False)
    """
    return any(field_of(comments, key) for key in ("reason for admission", "dx"))


def condition_of(comments: tuple[str, ...]) -> str:
    """Return the condition that a header's comments state, `unknown: ...` for what is new.

    Of several codes the first one of a disease among the conditions counts. Sinus rhythm means
    a healthy control only where it stands alone.

    Examples
    --------
    >>> condition_of(("Reason for admission: Heart failure (NYHA 3)",))
    'cardiomyopathy'
    >>> condition_of(("Reason for admission: Something new",))
    'unknown: something new'
    >>> condition_of(("Dx: 426783006,59118001",))
    'bundle branch block'
    """
    wording = field_of(comments, "reason for admission").lower()
    if wording:
        return ADMISSIONS.get(wording, f"unknown: {wording}")
    codes = _codes(comments)
    found = [snomed_conditions().get(code, f"unknown: {code}") for code in codes]
    diseases = [condition for condition in found if condition in CONDITIONS[1:]]
    if diseases:
        return diseases[0]
    if found and set(found) == {HEALTHY}:
        return HEALTHY
    return next((condition for condition in found if condition.startswith("unknown")), OTHER)


def _codes(comments: tuple[str, ...]) -> list[str]:
    return [code for code in re.split(r"[,\s]+", field_of(comments, "dx")) if code]
