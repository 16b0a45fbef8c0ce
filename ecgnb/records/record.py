"""A recording in memory, its quality lead by lead, and the error that says why there is none."""

from dataclasses import dataclass, replace

import numpy as np

from ecgnb.leads import LEADS

FLAT_S = 0.3

ABSURD_MV = 20.0


class RecordError(Exception):
    """A recording that cannot be used: which, what was found, why it matters, what to do."""

    def __init__(self, record: str, what: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{record}: {what}; {why}; {what_to_do}")
        self.record, self.what, self.why, self.what_to_do = record, what, why, what_to_do


@dataclass(frozen=True)
class LeadQuality:
    """Shares (0 to 1) of a lead's samples that are missing, flat, saturated or beyond 20 mV."""

    lead: str
    missing: float
    flat: float
    saturated: float
    absurd: float


def lead_quality(
    lead: str, signal: np.ndarray, samples: np.ndarray, sampling_rate: float
) -> LeadQuality:
    """Return the quality of one lead.

    Flat is a run of at least 0.3 s without any change; saturated a run of 3 or more samples at
    the lead's own lowest or highest value that is not flat.

    Parameters
    ----------
    lead
        Its name.
    signal
        `(time,)`, mV.
    samples
        `(time,)`, ADC units.
    sampling_rate
        Hz.
    """
    at_end = (samples == samples.min()) | (samples == samples.max())
    flat = _in_runs(samples, max(round(FLAT_S * sampling_rate), 2))
    saturated = at_end & _in_runs(samples, 3) & ~flat
    absurd = np.abs(np.nan_to_num(signal)) > ABSURD_MV
    masks = (~np.isfinite(signal), flat, saturated, absurd)
    return LeadQuality(lead, *(float(mask.mean()) for mask in masks))


def _in_runs(samples: np.ndarray, n_least: int) -> np.ndarray:
    """Return a mask `(time,)` of the samples in runs of at least `n_least` equal ones."""
    edges = np.r_[0, np.flatnonzero(np.diff(samples)) + 1, samples.size]
    lengths = np.diff(edges)
    return np.repeat(lengths >= n_least, lengths)


@dataclass(frozen=True)
class Record:
    """One recording: signals `(lead, time)` in mV, float32, leads in standard order.

    `patient` is whom its database says it shows, `heart` whose heart it shows as far as is known,
    over all databases; `origin` tells where a record of twadb comes from, `notes` what the reader
    had to leave out. Labels stay empty until a database fills them in.
    `quality` has a row for each lead, and for each Frank lead that the header names: all of it
    missing where its file is absent.
    """

    name: str
    signals: np.ndarray
    sampling_rate: float
    leads: tuple[str, ...] = LEADS
    patient: str = ""
    condition: str = ""
    origin: str = ""
    database: str = ""
    comments: tuple[str, ...] = ()
    frank: np.ndarray | None = None
    quality: tuple[LeadQuality, ...] = ()
    notes: tuple[str, ...] = ()
    counter_frequency: str = ""
    heart: str = ""

    @property
    def n_time(self) -> int:
        """Number of samples."""
        return self.signals.shape[-1]

    @property
    def duration_s(self) -> float:
        """Length in s."""
        return self.n_time / self.sampling_rate

    def lead(self, name: str) -> np.ndarray:
        """Return the signal `(time,)` of one lead, mV, named in any case."""
        names = [lead.lower() for lead in self.leads]
        return self.signals[names.index(name.strip().lower())]

    def split(self, *, share: float = 0.6, gap_s: float = 1.0) -> tuple["Record", "Record"]:
        """Return the first part, to calibrate on, and the rest after a gap.

        Examples
        --------
        >>> parts = Record("made", np.zeros((12, 1000)), 100.0).split(share=0.5, gap_s=1.0)
        >>> [part.duration_s for part in parts]
        [5.0, 4.0]
        """
        end = int(share * self.n_time)
        start = end + round(gap_s * self.sampling_rate)
        return self._cut(slice(0, end)), self._cut(slice(start, None))

    def _cut(self, part: slice) -> "Record":
        frank = None if self.frank is None else self.frank[:, part]
        return replace(self, signals=self.signals[:, part], frank=frank)

    def only(self, lead: str) -> "Record":
        """Return the recording of one lead alone, without Frank leads.

        Examples
        --------
        >>> Record("made", np.zeros((12, 1000)), 100.0).only("V2").signals.shape
        (1, 1000)
        """
        return replace(self, signals=self.lead(lead)[None], leads=(lead,), frank=None)
