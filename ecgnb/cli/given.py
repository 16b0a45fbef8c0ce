"""What a person gives to `ecgnb fit` and `ecgnb reconstruct`: files, and what is said of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgnb.cli.console import BAD_USAGE, fail
from ecgnb.leads import LEADS

if TYPE_CHECKING:
    from ecgnb.records.formats.channels import Request
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
            renamed=_renamed_leads(self.names),
        )

    def request(self, lead: str) -> "Request":
        """Return what is asked of a reader that goes through it in pieces."""
        from ecgnb.records.formats.channels import Request

        return Request((lead,), self.rate, self.channel, self.unit, _renamed_leads(self.names))

    def duration_s(self, lead: str) -> float:
        """Return how long the recording is, s; one of hours is not read."""
        from ecgnb.records.recordings import is_long, open_lead

        if not is_long(self.path):
            return self.read((lead,)).duration_s
        with open_lead(self.path, self.request(lead)) as long:
            return long.duration_s


def _renamed_leads(names: str) -> dict[str, str]:
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

    def goes_in_blocks(self) -> bool:
        """Return whether it goes through in blocks; what blocks lack is bad usage then."""
        from ecgnb.records.recordings import is_long

        if not (self.out.endswith(".edf") or is_long(self.given.path)):
            return False
        if self.bands or self.plot or self.force or self.same_session:
            text = (
                "--bands, --plot, --force and --same-session are for recordings up to half an hour"
            )
            raise fail(f"{text}, written as WFDB; cut a piece out for them", BAD_USAGE)
        return True
