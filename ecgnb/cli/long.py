"""`ecgnb reconstruct` of hours: in blocks, with how long it will take, to WFDB or EDF."""

from typing import TYPE_CHECKING

from ecgnb.cli.console import BAD_USAGE, fail, tell
from ecgnb.cli.targets import OutputTarget, made_of

if TYPE_CHECKING:
    from ecgnb.cli.given import ReconstructionTask
    from ecgnb.reconstruction.personal import PersonalModel


def goes_in_blocks(task: "ReconstructionTask") -> bool:
    """Return whether a recording goes through in blocks; what blocks lack is bad usage then."""
    from ecgnb.records.long_files import is_long

    if not (task.out.endswith(".edf") or is_long(task.given.path)):
        return False
    if task.bands or task.plot or task.force or task.same_session:
        text = "--bands, --plot, --force and --same-session are for recordings up to half an hour"
        raise fail(f"{text}, written as WFDB; cut a piece out for them", BAD_USAGE)
    return True


def reconstruct_hours(
    task: "ReconstructionTask",
    renamed: dict[str, str],
    personal: "PersonalModel",
    target: OutputTarget,
    digest: str,
    *,
    notes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the twelve leads of a recording of any length and tell where they are."""
    from ecgnb.reconstruction.blocks import reconstruct_file
    from ecgnb.records.formats.channels import Request

    as_edf, given = task.out.endswith(".edf"), task.given
    place = target.folder / f"{target.name}.{'edf' if as_edf else 'hea'}"
    if as_edf and place.exists():
        raise fail(f"{place} is there already; nothing is replaced; choose another --out")
    request = Request((personal.lead,), given.rate, given.channel, given.unit, renamed)
    try:
        found = reconstruct_file(
            given.path, request, personal, place, comments=(made_of(digest),), shown=True
        )
    except OSError as error:
        raise fail(f"{place}: {error}; what was done is kept: the same command goes on") from None
    notes = (*notes, *found)
    lines = [*(f"note: {note}" for note in notes), f"the 12 leads are in {place}"]
    facts = {"lead": personal.lead, "method": personal.method, "record": place, "notes": notes}
    tell(facts, "\n".join(lines), as_json=as_json)
