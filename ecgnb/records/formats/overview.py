"""What is read of each family of formats, and what is refused: the table of chapter 11."""

import pandas as pd

PROPERTIES = ("rate", "unit", "names", "gaps", "duplicates", "encoding")

_NAMES = "one table of names; --leads, --channel"

_TWICE = "a wanted lead twice is refused"

OVERVIEW = {
    "table (CSV, TSV, text)": {
        "rate": "time column, else head, else asked for; a contradiction is refused",
        "unit": "name, row of units, head or gain, else --unit; none: mV if plausible",
        "names": _NAMES,
        "gaps": "of times and counts, blank lines and marks: missing, noted",
        "duplicates": f"{_TWICE}; so are repeated or backward times",
        "encoding": "UTF-8, UTF-16, Windows-1252, Latin-1",
    },
    "Apple Health": {
        "rate": "head, in any language",
        "unit": "head",
        "names": "head, lead I; --channel where held elsewhere",
        "gaps": "marks are missing; other text is refused",
        "duplicates": "one lead a file",
        "encoding": "as of tables; decimal point or comma",
    },
    "Polar Sensor Logger": {
        "rate": "stamps",
        "unit": "column name",
        "names": "lead I; --channel where worn elsewhere",
        "gaps": "lost packets are missing, noted",
        "duplicates": "as of tables",
        "encoding": "as of tables",
    },
    "Kardia, Withings, Fitbit, Health Auto Export": {
        "rate": "file",
        "unit": "file (resolution or unit)",
        "names": "file, else lead I",
        "gaps": "null is missing",
        "duplicates": "several recordings in one file are refused",
        "encoding": "JSON; Withings also CSV",
    },
    "EDF, BDF": {
        "rate": "file; leads of several rates are refused",
        "unit": "file, else --unit",
        "names": _NAMES,
        "gaps": "EDF+D with gaps is refused",
        "duplicates": _TWICE,
        "encoding": "binary",
    },
    "hospital (MUSE, DICOM, aECG, SCP, Sierra)": {
        "rate": "file; odd ones are refused",
        "unit": "file, else asked for",
        "names": f"{_NAMES}; 8 leads become 12",
        "gaps": "leads out of step are refused",
        "duplicates": _TWICE,
        "encoding": "UTF-8, UTF-16; XML that declares entities is refused",
    },
    "WFDB": {
        "rate": "header",
        "unit": "header",
        "names": _NAMES,
        "gaps": "missing samples stay missing",
        "duplicates": _TWICE,
        "encoding": "UTF-8, Latin-1",
    },
}


def list_formats() -> pd.DataFrame:
    """Return the table of formats: a row a family, a column a property.

    Examples
    --------
    >>> list_formats().loc["WFDB", "rate"]
    'header'
    """
    return pd.DataFrame(OVERVIEW).T[list(PROPERTIES)]
