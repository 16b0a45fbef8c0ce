"""`ecgnb fit` and `ecgnb reconstruct`: a model of one person, from files to files."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from ecgnb.cli.console import BAD_USAGE, AsJson, fail, tell
from ecgnb.cli.given import GivenFile, ReconstructionTask
from ecgnb.cli.targets import (
    PICTURES,
    OutputTarget,
    check_output_folder,
    check_picture,
    choose_target,
    digest_of,
    made_of,
    parse_out,
    recording_files,
    refuse_other_model,
    refuse_other_picture,
    refuse_overlap,
)
from ecgnb.leads import LEADS, other_leads

if TYPE_CHECKING:
    from collections.abc import Callable

    from ecgnb.reconstruction.personal import PersonalModel, Reconstruction
    from ecgnb.records.formats.channels import Request
    from ecgnb.records.record import Record

Rate = Annotated[
    float | None,
    typer.Option(min=50, max=5000, help="in Hz, of a recording that does not say it"),
]

CalibrationRate = Annotated[
    float | None,
    typer.Option(min=50, max=5000, help="in Hz, of a calibration that does not say it"),
]

Unit = Annotated[str, typer.Option(help="of a recording that names none: mV, uV or V")]

CalibrationUnit = Annotated[str, typer.Option(help="of a calibration that names none")]

LeadNames = Annotated[str, typer.Option("--leads", help='names to leads, such as "ch1=I,ch2=V2"')]

CalibrationNames = Annotated[str, typer.Option("--calibration-leads", help="of the calibration")]

MethodName = Annotated[str, typer.Option(help="another_day, neighbours, best, ...")]

CalibrationFiles = Annotated[
    list[Path] | None,
    typer.Option(
        help="12 leads of the same person, 5 s or more; may be given several times", metavar="PATH"
    ),
]

Bands = Annotated[bool, typer.Option("--bands", help="write 90 % bands too, as OUT_bands")]

SameSession = Annotated[
    bool, typer.Option("--same-session", help="the electrodes were left as when calibrated")
]

Force = Annotated[bool, typer.Option("--force", help="use a calibration that has expired")]

DryRun = Annotated[bool, typer.Option("--dry-run", help="only tell the cost")]

Seed = Annotated[int, typer.Option(min=0, help="of the network's fit")]

_KINDS = "a table, WFDB, EDF, a watch's or a hospital's file"


def fit_model(
    calibration: Annotated[
        list[Path],
        typer.Argument(
            help=f"12 leads, 5 s or more, of one or several days: {_KINDS}",
            metavar="CALIBRATION",
        ),
    ],
    lead: Annotated[str, typer.Option(help="the lead that will be given")],
    out: Annotated[Path, typer.Option(help="the model: OUT.json and OUT.safetensors")],
    method: MethodName = "another_day",
    sampling_rate: Rate = None,
    unit: Unit = "",
    names: LeadNames = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the model of one person on 12-lead recordings and keep it.

    Example: ecgnb fit january.xml june.edf --lead V2 --out models/anna
    """
    from ecgnb.files import checksum_path
    from ecgnb.reconstruction.model_files import model_files, save_personal
    from ecgnb.reconstruction.personal import fit_personal, signals_digest

    lead, method = _standard(lead), _method(method)
    arrays, card = model_files(out)
    check_output_folder(card.parent, "--out")
    refuse_overlap(
        [file for path in (arrays, card) for file in (path, checksum_path(path))],
        [file for path in calibration for file in recording_files(path)],
    )
    _check_number(len(calibration), method)
    given = [GivenFile(path, sampling_rate, unit, names) for path in calibration]
    known = _read_all(given, lambda one, leads: one.read(leads), lead)
    refuse_other_model(card, signals_digest(*known))
    model = fit_personal(known, lead, method=method, seed=seed)
    save_personal(model, card)
    notes = _named_notes(known)
    shown = [f"note: {note}" for note in notes]
    text = "\n".join([_expectation(model), *shown, f"the model is {card}"])
    facts = _facts(model) | {"model": card, "notes": (*model.warnings, *notes)}
    tell(facts, text, as_json=as_json)


def _check_number(n_calibration: int, method: str) -> None:
    """End the program if a method is given more calibrations than it can take."""
    from ecgnb.reconstruction.personal import DEFAULT_METHOD

    if n_calibration > 1 and method != DEFAULT_METHOD:
        text = f"{method} takes one calibration, {n_calibration} were given"
        raise fail(f"{text}; --method {DEFAULT_METHOD} takes several", BAD_USAGE)


def _named_notes(records: list["Record"]) -> tuple[str, ...]:
    """Return the notes of recordings; of several, with the name of each."""
    if len(records) == 1:
        return records[0].notes
    return tuple(f"{one.name}: {note}" for one in records for note in one.notes)


def _read_all(
    files: list[GivenFile],
    read: "Callable[[GivenFile, tuple[str, ...]], Record]",
    lead: str,
) -> list["Record"]:
    """Return calibrations: a single one with 12 leads, several with the leads that each has."""
    if len(files) == 1:
        return [read(files[0], LEADS)]
    return [_read_what_is_there(partial(read, one), lead) for one in files]


def _read_what_is_there(read: "Callable[[tuple[str, ...]], Record]", lead: str) -> "Record":
    """Return a recording of 12 leads, or of those it has, the input lead among them."""
    from ecgnb.records.record import RecordError

    try:
        return read(LEADS)
    except RecordError as error:
        refused = error
    found = {lead: read((lead,))}
    for name in other_leads(lead):
        try:
            found[name] = read((name,))
        except RecordError:
            continue
    alone = found[lead]
    if all(np.array_equal(one.signals, alone.signals, equal_nan=True) for one in found.values()):
        raise refused
    names = tuple(name for name in LEADS if name in found)
    signals = np.concatenate([found[name].signals for name in names])
    return replace(alone, signals=signals, leads=names, quality=())


def reconstruct_leads(
    recording: Annotated[Path, typer.Argument(help=f"the lead: {_KINDS}")],
    out: Annotated[str, typer.Option(help="OUT.hea and OUT.dat, or a folder", metavar="PATH")],
    calibration: CalibrationFiles = None,
    lead: Annotated[str, typer.Option(help="which lead the recording holds")] = "",
    model: Annotated[Path | None, typer.Option(help="a model that `ecgnb fit` kept")] = None,
    method: MethodName = "another_day",
    plot: Annotated[Path | None, typer.Option(help="picture: .png, .pdf or .svg")] = None,
    bands: Bands = False,
    same_session: SameSession = False,
    force: Force = False,
    sampling_rate: Rate = None,
    unit: Unit = "",
    names: LeadNames = "",
    channel: Annotated[str, typer.Option(help="name of the lead in the recording")] = "",
    calibration_rate: CalibrationRate = None,
    calibration_unit: CalibrationUnit = "",
    calibration_names: CalibrationNames = "",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give twelve leads back for a recording of one, from calibrations or a kept model.

    Example: ecgnb reconstruct watch.csv --calibration hospital.xml --lead I --out twelve
    """
    given = GivenFile(recording, sampling_rate, unit, names, channel)
    said = (calibration_rate, calibration_unit, calibration_names)
    own = tuple(GivenFile(path, *said) for path in calibration or [])
    choices = (lead, method, seed, out, plot, bands, same_session, force)
    do = _foretell if dry_run else _carry_out
    do(ReconstructionTask(given, own, model, *choices), as_json=as_json)


def _foretell(task: ReconstructionTask, *, as_json: bool) -> None:
    """Tell what a task will take, without doing it."""
    from ecgnb.studies.costs import forecast_hours

    personal, _ = _kept(task.model)
    lead, method = _agreed(task.lead, personal), _method(task.method)
    method = personal.method if personal else method
    cost = forecast_hours(task.given.duration_s(lead) / 3600, method)
    tell(vars(cost), str(cost), as_json=as_json)


def _carry_out(task: ReconstructionTask, *, as_json: bool) -> None:
    """Make what a task says, and tell it; all that can be checked is checked before."""
    from ecgnb.reconstruction.personal import reconstruct_with_bands
    from ecgnb.records.wfdb_files import write_record

    place, (personal, read) = _checked_place(task), _kept(task.model)
    lead, method = _agreed(task.lead, personal), _method(task.method)
    in_blocks = task.goes_in_blocks()
    record = None if in_blocks else task.given.read((lead,))
    name = record.name if record else re.sub(r"[^A-Za-z0-9_-]+", "_", task.given.path.stem)
    read += [file for one in task.calibrations for file in recording_files(one.path)]
    target, digest = _free_target(task, f"{name}_{lead}_12", place, read=read)
    notes = (target.note,) if target.note else ()
    if personal is None:
        personal, noted = _calibrated(task, lead, method=method)
        notes += noted
    if in_blocks:
        how = {"as_edf": task.out.endswith(".edf"), "notes": notes, "as_json": as_json}
        request = task.given.request(lead)
        return _reconstruct_hours(task.given.path, request, personal, target, digest, **how)
    how = {"same_session": task.same_session, "force": task.force}
    made = reconstruct_with_bands(record, personal, name=target.name, **how)
    if task.bands and made.bands is None:
        raise fail(f"--bands: the method {personal.method} gives none", BAD_USAGE)
    made = replace(made, record=_signed(made.record, digest, notes))
    header = write_record(made.record, target.folder)
    if task.bands:
        write_record(_signed(made.bands, digest), target.folder)
    if task.plot is not None:
        _draw(made, personal.lead, task.plot, digest)
    _tell_made(made, personal, header, task, as_json=as_json)


def _reconstruct_hours(
    path: Path,
    request: "Request",
    personal: "PersonalModel",
    target: OutputTarget,
    digest: str,
    *,
    as_edf: bool,
    notes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the twelve leads of a recording of any length and tell where they are."""
    from ecgnb.reconstruction.blocks import reconstruct_file
    from ecgnb.records.recordings import open_lead

    place = target.folder / f"{target.name}.{'edf' if as_edf else 'hea'}"
    if as_edf and place.exists():
        raise fail(f"{place} is there already; nothing is replaced; choose another --out")
    try:
        with open_lead(path, request) as long:
            how = {"comments": (made_of(digest),), "shown": True}
            found = reconstruct_file(long, personal, place, **how)
    except OSError as error:
        raise fail(f"{place}: {error}; what was done is kept: the same command goes on") from None
    notes = (*notes, *found)
    lines = [*(f"note: {note}" for note in notes), f"the 12 leads are in {place}"]
    facts = {"lead": personal.lead, "method": personal.method, "record": place, "notes": notes}
    tell(facts, "\n".join(lines), as_json=as_json)


def _signed(record: "Record", digest: str, notes: tuple[str, ...] = ()) -> "Record":
    """Return a record that says of which recording it was made."""
    comments = (*record.comments, made_of(digest))
    return replace(record, comments=comments, notes=(*notes, *record.notes))


def _kept(model: Path | None) -> tuple["PersonalModel | None", list[Path]]:
    """Return a kept model and its files; PyTorch, which some need, is loaded only then."""
    if model is None:
        return None, []
    from ecgnb.reconstruction.model_files import load_personal, model_files

    return load_personal(model), list(model_files(model))


def _checked_place(task: ReconstructionTask) -> tuple[Path, str]:
    """Return folder and name of the result, once all that can be checked beforehand is."""
    if bool(task.calibrations) == (task.model is not None):
        raise fail("give either --calibration with --lead, or --model", BAD_USAGE)
    _check_number(len(task.calibrations), task.method)
    place = parse_out(task.out)
    check_picture(task.plot)
    return place


def _tell_made(
    made: "Reconstruction",
    personal: "PersonalModel",
    header: Path,
    task: ReconstructionTask,
    *,
    as_json: bool,
) -> None:
    """Print what to expect of a reconstruction, its notes and where it is."""
    bands = header.with_name(f"{made.bands.name}.hea") if task.bands else None
    lines = [_expectation(personal, made), *(f"note: {one}" for one in made.record.notes)]
    lines.append(f"the 12 leads are in {header}")
    lines += [f"the bands are in {bands}"] if bands else []
    lines += [f"the picture is {task.plot}"] if task.plot else []
    facts = _facts(personal) | {"expected": made.expected, "expired": made.expired}
    facts |= {"record": header, "bands": bands, "picture": task.plot, "notes": made.record.notes}
    tell(facts, "\n".join(lines), as_json=as_json)


def _free_target(
    task: ReconstructionTask, name: str, place: tuple[Path, str], *, read: list[Path]
) -> tuple[OutputTarget, str]:
    """Return where the result goes and the digest of the recording; nothing read is written."""
    files = recording_files(task.given.path)
    digest = digest_of(files)
    target = choose_target(place, name, digest, bands=task.bands)
    pictures = [task.plot] if task.plot else []
    refuse_overlap([*target.files, *pictures], [*files, *read])
    refuse_overlap(pictures, target.files)
    refuse_other_picture(task.plot, digest)
    return target, digest


def _calibrated(
    task: ReconstructionTask, lead: str, *, method: str
) -> tuple["PersonalModel", tuple[str, ...]]:
    """Return the model fitted on calibrations, and their notes."""
    from ecgnb.reconstruction.personal import fit_personal

    own = list(task.calibrations)
    known = _read_all(own, lambda one, leads: _calibration(one, task.given, leads), lead)
    noted = tuple(f"calibration: {note}" for note in _named_notes(known))
    return fit_personal(known, lead, method=method, seed=task.seed), noted


def _agreed(lead: str, personal: "PersonalModel | None") -> str:
    """Return the lead that the recording holds: the model's, or the one that is named."""
    if personal is None or lead:
        lead = _standard(lead)
    if personal is not None and lead not in {"", personal.lead}:
        raise fail(f"the model expects lead {personal.lead}, not {lead}")
    return lead or personal.lead


def _standard(lead: str) -> str:
    """Return a lead in its standard spelling; another name is bad usage."""
    from ecgnb.records.formats.names import lead_of

    if lead_of(lead) not in LEADS:
        raise fail(f"no lead {lead!r}; choose from {', '.join(LEADS)}", BAD_USAGE)
    return lead_of(lead)


def _method(method: str) -> str:
    """Return a method's name; another name is bad usage."""
    from ecgnb.reconstruction.personal import PERSONAL_METHODS

    if method not in PERSONAL_METHODS:
        known = ", ".join(PERSONAL_METHODS)
        raise fail(f"no method {method!r}; choose from {known}", BAD_USAGE)
    return method


def _calibration(own: GivenFile, given: GivenFile, leads: tuple[str, ...]) -> "Record":
    """Return the calibration; where it is silent and nothing is said of it, as the recording."""
    from ecgnb.records.record import RecordError

    same = GivenFile(
        own.path, own.rate or given.rate, own.unit or given.unit, own.names or given.names
    )
    for source in dict.fromkeys((own, same)):
        try:
            return source.read(leads)
        except RecordError as error:
            refused = error
    advice = refused.what_to_do
    for option in ("rate", "unit", "leads"):
        advice = re.sub(rf"--(?:sampling-)?{option}\b", f"--calibration-{option}", advice)
    raise RecordError(refused.record, refused.what, refused.why, advice)


def _facts(model: "PersonalModel") -> dict[str, object]:
    from ecgnb.reconstruction.personal import CAUTION

    return {
        "lead": model.lead,
        "method": model.method,
        "expected": model.expected,
        "held_back_s": model.held_back_s,
        "caution": CAUTION,
    }


def _expectation(model: "PersonalModel", made: "Reconstruction | None" = None) -> str:
    """Return what to expect of a model, or of one reconstruction, a line per lead."""
    from ecgnb.reconstruction.personal import CAUTION

    said = model if made is None else made
    table = said.expected.round(3).to_string(index=False)
    head = f"from {model.lead} by {model.method}: what to expect, {said.how_measured}"
    lines = [f"{head} (error in mV)", table, CAUTION if made is None else made.caution]
    lines += _other_day(model) if made is None else []
    return "\n".join([*lines, *(f"warning: {each}" for each in model.warnings)])


def _other_day(model: "PersonalModel") -> list[str]:
    """Return lines on what to expect on another day, none where nothing was recorded."""
    from ecgnb.reconstruction.personal import expect_other_day

    table = expect_other_day(model)
    if table is None:
        return []
    head = "on another day, from 10 s, other people had (median, 10 and 90 % of the persons):"
    return [head, table.round(2).to_string(index=False)]


def _draw(made: "Reconstruction", lead: str, path: Path, digest: str) -> None:
    """Write the picture of a reconstruction, which says of which recording it is."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from ecgnb.figures.ecg import SHOWN_S, plot_reconstruction
    from ecgnb.signals.filters import wholest_start

    figure, axes = plt.subplots(figsize=(10, 13), layout="constrained")
    rate = made.record.sampling_rate
    start = wholest_start(made.record.lead(lead), round(SHOWN_S * rate))
    plot_reconstruction(axes, made.record, lead, start_s=start / rate, bands=made.bands)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130, metadata={PICTURES[path.suffix.lower()]: made_of(digest)})
    plt.close(figure)
