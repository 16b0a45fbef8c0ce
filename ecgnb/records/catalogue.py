"""The catalogue of databases: their files, licence, citation, people, and what is left out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Database:
    """A database of PhysioNet.

    `pattern` finds its headers below the version folder, `comment` is what a comment of each
    header begins with, in lower case (empty: the headers have no comments), `files` are the paths
    that a download wants (a regular expression), `n_person` counts the people whom the database's
    own description states (`None`: it states no number), `patients` says how they are told apart,
    `marks` what was marked by hand or by a detector, in which files, `left_out` what the book does
    not use, each with the reason.
    """

    name: str
    title: str
    version: str
    licence: str
    citation: str
    sampling_rate: float
    pattern: str
    comment: str
    files: str
    n_person: int | None
    patients: str
    marks: str
    left_out: tuple[str, ...]

    @property
    def address(self) -> str:
        """Where its page is.

        Examples
        --------
        >>> DATABASES["ludb"].address
        'https://physionet.org/content/ludb/1.0.1/'
        """
        return f"https://physionet.org/content/{self.name}/{self.version}/"


_NO_PATIENTS = "none: records of one person cannot be told apart and kept together"

_CHALLENGE_LEFT_OUT = (
    "the validation and test sets: they were never published",
    "records without one of the 12 leads or with a damaged header: refused one by one",
    "conditions beyond the first disease of `Dx`: one condition a record is used",
    "nothing twice: the sources `ptb` and `st_petersburg_incart` hold ptbdb and the recordings "
    "behind part of twadb, so never test with one what was trained on the other",
)


def _challenge(year: int, version: str, doi: str, title: str) -> Database:
    return Database(
        name=f"challenge-{year}",
        title=f"{title}: the PhysioNet/Computing in Cardiology Challenge {year}",
        version=version,
        licence="CC BY 4.0",
        citation=f"doi:{doi}",
        sampling_rate=500.0,
        pattern="training/*/g*/*.hea",
        comment="dx",
        files=r"training/.*\.(hea|mat)",
        n_person=None,
        patients=_NO_PATIENTS,
        marks="none",
        left_out=_CHALLENGE_LEFT_OUT,
    )


_ALL = (
    Database(
        name="twadb",
        title="T-Wave Alternans Challenge Database",
        version="1.0.0",
        licence="ODC-By 1.0",
        citation="doi:10.13026/C2QK5J",
        sampling_rate=500.0,
        pattern="twa[0-9]*.hea",
        comment="",
        files=r".*\.(hea|dat|qrs)",
        n_person=None,
        patients="one for each record, but for those found by correlation to show one person",
        marks="beats, `.qrs`",
        left_out=(
            "28 of 100 records: they have fewer than 12 leads",
            "conditions: the database states none for a record",
        ),
    ),
    Database(
        name="ptbdb",
        title="PTB Diagnostic ECG Database",
        version="1.0.0",
        licence="ODC-By 1.0",
        citation="doi:10.13026/C28C71",
        sampling_rate=1000.0,
        pattern="patient[0-9]*/s[0-9]*.hea",
        comment="reason for admission",
        files=r".*\.(hea|dat|xyz)",
        n_person=290,
        patients="the name of the folder",
        marks="none",
        left_out=(
            "admissions for angina, palpitation or n/a: none of the eight conditions (`other`)",
            "Frank leads: kept beside the 12 leads, absent where the `.xyz` file is",
        ),
    ),
    Database(
        name="ludb",
        title="Lobachevsky University Electrocardiography Database",
        version="1.0.1",
        licence="ODC-By 1.0",
        citation="doi:10.13026/eegm-h675",
        sampling_rate=500.0,
        pattern="data/[0-9]*.hea",
        comment="<diagnoses>",
        files=r"data/.*\.(hea|dat|i|ii|iii|avr|avl|avf|v[1-6])|ludb\.csv",
        n_person=200,
        patients="one for each record",
        marks="by hand, begin, peak and end of P, QRS and T in each lead, `.i`, `.ii` ... `.v6`",
        left_out=(
            "the marks of the P wave: read, not used",
            "conditions beyond the first disease among the findings: one condition a record",
        ),
    ),
    _challenge(2020, "1.0.2", "10.13026/dvyd-kd57", "Classification of 12-lead ECGs"),
    _challenge(2021, "1.0.3", "10.13026/34va-7q14", "Will Two Do? Varying Dimensions"),
)

DATABASES = {database.name: database for database in _ALL}
