"""`ecgnb fit` and `ecgnb reconstruct`: a model of one person, from files to files."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgnb.cli.console import BAD_USAGE, AsJson, fail, tell
from ecgnb.leads import LEADS

if TYPE_CHECKING:
    from ecgnb.reconstruction.personal import PersonalModel
    from ecgnb.records.record import Record

Rate = Annotated[
    float | None, typer.Option(min=50, max=5000, help="of CSV files, Hz; other formats say it")
]

Unit = Annotated[str, typer.Option(help="of CSV files without units: mV, uV or V")]

MethodName = Annotated[str, typer.Option(help="best, neighbours, average_beat_ridge, ...")]

Seed = Annotated[int, typer.Option(min=0, help="of the network's fit")]


def fit_model(
    calibration: Annotated[Path, typer.Argument(help="12 leads: WFDB, EDF or CSV")],
    lead: Annotated[str, typer.Option(help="the lead that will be given")],
    out: Annotated[Path, typer.Option(help="the model: OUT.json and OUT.safetensors")],
    method: MethodName = "best",
    sampling_rate: Rate = None,
    unit: Unit = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Fit the model of one person on a 12-lead recording and keep it.

    Example: ecgnb fit calibration.edf --lead V2 --out models/anna
    """
    from ecgnb.reconstruction.model_files import save_personal

    model = _fitted(calibration, lead, method=method, rate=sampling_rate, unit=unit, seed=seed)
    card = save_personal(model, out)
    text = f"{_expectation(model)}\nthe model is {card}"
    tell(_facts(model) | {"model": card, "notes": model.warnings}, text, as_json=as_json)


def reconstruct_leads(
    recording: Annotated[Path, typer.Argument(help="the lead: WFDB, EDF or CSV")],
    out: Annotated[Path, typer.Option(help="OUT.hea and OUT.dat, or a folder")],
    calibration: Annotated[Path | None, typer.Option(help="12 leads of the same person")] = None,
    lead: Annotated[str, typer.Option(help="which lead the recording holds")] = "",
    model: Annotated[Path | None, typer.Option(help="a model that `ecgnb fit` kept")] = None,
    method: MethodName = "best",
    plot: Annotated[Path | None, typer.Option(help="picture on ECG paper")] = None,
    sampling_rate: Rate = None,
    unit: Unit = "",
    channel: Annotated[str, typer.Option(help="name of the lead in the recording")] = "",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Give twelve leads back for a recording of one, from a calibration or a kept model.

    Example: ecgnb reconstruct --calibration rec12 --lead V2 rec1 --out made
    """
    from ecgnb.reconstruction.model_files import load_personal
    from ecgnb.reconstruction.personal import reconstruct as reconstruct_record
    from ecgnb.records.recordings import read_recording
    from ecgnb.records.wfdb_files import write_record

    if (calibration is None) == (model is None):
        raise fail("give either --calibration with --lead, or --model", BAD_USAGE)
    folder, name = _target(out)
    if model is not None:
        personal = load_personal(model)
        if lead and _standard(lead) != personal.lead:
            raise fail(f"the model expects lead {personal.lead}, not {lead}")
    else:
        personal = _fitted(
            calibration, lead, method=method, rate=sampling_rate, unit=unit, seed=seed
        )
    given = read_recording(
        recording, leads=(personal.lead,), sampling_rate=sampling_rate, channel=channel, unit=unit
    )
    made = reconstruct_record(given, personal, name=name)
    header = write_record(made, folder)
    if plot is not None:
        _draw(made, personal.lead, plot)
    lines = [_expectation(personal), *(f"note: {note}" for note in made.notes)]
    lines += [f"the 12 leads are in {header}", *([f"the picture is {plot}"] if plot else [])]
    facts = _facts(personal) | {"record": header, "picture": plot, "notes": made.notes}
    tell(facts, "\n".join(lines), as_json=as_json)


def _standard(lead: str) -> str:
    """Return a lead in its standard spelling; another name is bad usage."""
    from ecgnb.records.recordings import lead_of

    if lead_of(lead) not in LEADS:
        raise fail(f"no lead {lead!r}; choose from {', '.join(LEADS)}", BAD_USAGE)
    return lead_of(lead)


def _fitted(
    calibration: Path, lead: str, *, method: str, rate: float | None, unit: str, seed: int
) -> "PersonalModel":
    from ecgnb.reconstruction.methods import METHODS
    from ecgnb.reconstruction.personal import fit_personal
    from ecgnb.records.recordings import read_recording

    lead = _standard(lead)
    if method not in METHODS:
        raise fail(f"no method {method!r}; choose from {', '.join(METHODS)}", BAD_USAGE)
    record = read_recording(calibration, sampling_rate=rate, unit=unit)
    return fit_personal(record, lead, method=method, seed=seed)


def _target(out: Path) -> tuple[Path, str]:
    """Return folder and name of the record to write; the name of the recording in a folder."""
    if out.is_dir():
        return out, ""
    name = out.name.removesuffix(".hea")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise fail(f"{name!r} is no name of a WFDB record: letters, digits, - and _", BAD_USAGE)
    return out.parent, name


def _facts(model: "PersonalModel") -> dict[str, object]:
    from ecgnb.reconstruction.personal import CAUTION

    return {
        "lead": model.lead,
        "method": model.method,
        "expected": model.expected,
        "held_back_s": model.held_back_s,
        "caution": CAUTION,
    }


def _expectation(model: "PersonalModel") -> str:
    """Return what to expect of a model, a line per lead."""
    from ecgnb.reconstruction.personal import CAUTION

    table = model.expected.round(3).to_string(index=False)
    measured = f"measured on {model.held_back_s:.0f} s of the calibration that were held back"
    head = f"from {model.lead} by {model.method}: what to expect, {measured} (error in mV)"
    return "\n".join([head, table, CAUTION, *(f"warning: {each}" for each in model.warnings)])


def _draw(made: "Record", lead: str, path: Path) -> None:
    """Write the picture of a reconstruction."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from ecgnb.figures.ecg import plot_reconstruction

    figure, axes = plt.subplots(figsize=(10, 13), layout="constrained")
    plot_reconstruction(axes, made, lead)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
