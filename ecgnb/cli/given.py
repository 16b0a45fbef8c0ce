"""What a person gives to `ecgnb fit` and `ecgnb reconstruct`: files, and what is said of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgnb.cli.console import BAD_USAGE, fail
from ecgnb.leads import LEADS

if TYPE_CHECKING:
    from ecgnb.records.record import Record


@dataclass(frozen=True)
class GivenFile:
    """A file and what its user says of it."""

    path: Path
    rate: float | None = None
    unit: str = ""
    names: str = ""
    channel: str = ""

    def read(self, leads: tuple[str, ...] = LEADS) -> "Record":
        """Return its record in mV."""
        from ecgnb.records.recordings import read_recording

        return read_recording(
            self.path,
            leads=leads,
            sampling_rate=self.rate,
            channel=self.channel,
            unit=self.unit,
            renamed=renamed_leads(self.names),
        )


def renamed_leads(names: str) -> dict[str, str]:
    """Return the mapping of `--leads`; one that cannot be read is bad usage."""
    from ecgnb.records.formats.names import parse_renamed

    try:
        return parse_renamed(names)
    except ValueError as error:
        raise fail(str(error), BAD_USAGE) from None


@dataclass(frozen=True)
class ReconstructionTask:
    """What is to be made of which recording, by whose model, and where it goes."""

    given: GivenFile
    calibrations: tuple[GivenFile, ...]
    model: Path | None
    lead: str
    method: str
    seed: int
    out: str
    plot: Path | None
    bands: bool
    same_session: bool
    force: bool
