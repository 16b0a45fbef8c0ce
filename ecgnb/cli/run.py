"""`ecgnb run ...`: experiments on a folder of recordings."""

from pathlib import Path
from typing import Annotated

import typer

from ecgnb.cli.console import (
    AsJson,
    Both,
    Data,
    Jobs,
    Mirror,
    Names,
    Out,
    exit_if_failed,
    names_in,
    refuse_unknown,
    report_run,
    tell,
)

run_app = typer.Typer(
    help="Run an experiment on a folder of recordings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@run_app.command()
def reconstruction(
    data: Data,
    out: Out,
    methods: Annotated[str, typer.Option(help="names with commas, or closed_forms")] = "",
    records: Names = "",
    jobs: Jobs = 1,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, tcp://host:port")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell the cost")] = False,
    as_json: AsJson = False,
) -> None:
    """Reconstruct 11 leads from each, by every method. It resumes when interrupted.

    Example: ecgnb run reconstruction --data mirror --out table.csv.gz --jobs 2
    """
    from ecgnb.reconstruction.methods import METHODS
    from ecgnb.records.databases import record_paths
    from ecgnb.studies.costs import forecast, read_durations
    from ecgnb.studies.reconstruction import run_reconstruction

    chosen = _methods(methods)
    refuse_unknown(chosen, METHODS)
    names = names_in(records) or None
    if dry_run:
        paths = record_paths(data, names)
        cost = forecast(durations := read_durations(paths), chosen, jobs=jobs)
        left_out = f"headers that cannot be read: {len(paths) - len(durations)}"
        tell(vars(cost), f"{cost}\n{left_out}", as_json=as_json)
        return
    done = run_reconstruction(
        data, out, methods=chosen, records=names, jobs=jobs, scheduler=scheduler
    )
    report_run(out, {"methods": done.by_method()}, done.failed, as_json=as_json)


def _methods(text: str) -> list[str]:
    """Return the methods that were asked for; all by default."""
    from ecgnb.reconstruction.methods import CLOSED_FORMS, METHODS

    groups = {"closed_forms": CLOSED_FORMS}
    chosen = [one for name in names_in(text) for one in groups.get(name, (name,))]
    return list(dict.fromkeys(chosen)) or list(METHODS)


@run_app.command()
def multiverse(
    data: Data, out: Out, records: Names, jobs: Jobs = 1, as_json: AsJson = False
) -> None:
    """Repeat the paper's experiment under each choice it leaves open. It resumes.

    Example: ecgnb run multiverse --data mirror --out m.csv --records twa06
    """
    from ecgnb.studies.multiverse import run_multiverse

    done = run_multiverse(data, out, records=names_in(records), jobs=jobs)
    chosen = ["model", "band", "scaling", "split", "window_s"]
    means = done.table.groupby(chosen, as_index=False)[["mse", "r"]].mean()
    report_run(out, {"members": means}, done.failed, as_json=as_json, digits=3)


@run_app.command()
def population(data: Data, out: Out, jobs: Jobs = 1, as_json: AsJson = False) -> None:
    """Reconstruct each record by fits on other people. It resumes when interrupted.

    Example: ecgnb run population --data mirror --out population.csv.gz
    """
    from ecgnb.reconstruction.scores import summarise
    from ecgnb.studies.population import run_population

    shown = ["method", "n_record", "n_heart", "r_mean", "r_low", "r_high", "r_lowest"]
    shown += ["mse_mean", "rmse_mv"]
    done = run_population(data, out, jobs=jobs)
    report_run(out, {"methods": summarise(done.table)[shown]}, done.failed, as_json=as_json)


@run_app.command()
def heads(
    data: Data,
    out: Out,
    records: Annotated[str, typer.Option(help="names with commas; by default ten hearts")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="seeds of each fit in the middle")] = 3,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare the paper's heads, each trained to its plateau, by size and window. It resumes.

    Example: ecgnb run heads --data mirror --out heads.csv.gz --jobs 2
    """
    from ecgnb.studies.heads import HEAD_RECORDS, run_heads

    names = names_in(records) or HEAD_RECORDS
    done = run_heads(data, out, records=names, n_seed=seeds, jobs=jobs)
    keys = ["n_weight", "n_time", "method"]
    means = done.table.groupby(keys, as_index=False, sort=False)[["mse", "r"]].mean()
    report_run(out, {"cells": means}, done.failed, as_json=as_json, digits=3)


@run_app.command()
def ceiling(
    data: Data,
    out: Out,
    records: Names = "",
    scores: Annotated[
        str, typer.Option(help="table of run reconstruction: fit again where best is below 0.3")
    ] = "",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Measure how much of each lead all other leads know. It resumes when interrupted.

    Example: ecgnb run ceiling --data mirror --out ceiling.csv --scores table.csv.gz
    """
    import pandas as pd

    from ecgnb.studies.ceiling import hard_records, run_ceiling

    hard = hard_records(pd.read_csv(scores)) if scores else ()
    names = names_in(records) or None
    done = run_ceiling(data, out, records=names, hard=hard, jobs=jobs)
    shown = ["floor_mse", "floor_r", "share_beyond"]
    means = done.table.groupby("origin", as_index=False)[shown].mean()
    report_run(out, {"origins": means}, done.failed, as_json=as_json)


@run_app.command()
def expectation(
    data: Data,
    out: Out,
    methods: Annotated[str, typer.Option(help="names, separated by commas")] = "neighbours,best",
    records: Names = "",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare what personal models expect of themselves with what they achieve. It resumes.

    Example: ecgnb run expectation --data mirror --out expectation.csv --methods neighbours
    """
    from ecgnb.reconstruction.methods import METHODS
    from ecgnb.studies.expectation import run_expectation, summarise_expectation

    chosen, names = names_in(methods), names_in(records) or None
    refuse_unknown(chosen, METHODS)
    done = run_expectation(data, out, methods=chosen, records=names, jobs=jobs)
    means = summarise_expectation(done.table)
    report_run(out, {"methods": means}, done.failed, as_json=as_json)


@run_app.command()
def placement(data: Both, out: Out, jobs: Jobs = 1, as_json: AsJson = False) -> None:
    """Measure how many misplaced leads are noticed, by what is usual in ptbdb. It resumes.

    Example: ecgnb run placement --data mirror --out placement.csv
    """
    from ecgnb.studies.inventory import run_placement

    done = run_placement(data, out, jobs=jobs)
    report_run(out, {"misplacements": done.table}, done.failed, as_json=as_json)


@run_app.command()
def frank(data: Data, out: Out, jobs: Jobs = 1, as_json: AsJson = False) -> None:
    """Compare the Frank leads of ptbdb with those that two published matrices give.

    Example: ecgnb run frank --data mirror --out out/frank.csv
    """
    from ecgnb.studies.inventory import run_frank

    done = run_frank(data, out, jobs=jobs)
    means = done.table.groupby(["method", "lead"], as_index=False)[["r", "rmse_mv"]].mean()
    report_run(out, {"leads": means}, done.failed, as_json=as_json, digits=3)


@run_app.command("describe")
def describe_databases(
    data: Both,
    out: Annotated[Path, typer.Option(help="folder of the two tables")],
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Describe every record by its waves, find those that both databases hold.

    Example: ecgnb run describe --data mirror --out results
    """
    from ecgnb.studies.inventory import run_description

    done = run_description(data, out, jobs=jobs)
    paths = [out / f"{name}.csv" for name in done.tables]
    text = f"the tables are {paths[0]} and {paths[1]}"
    tell({"tables": paths, "failed": done.failed}, text, as_json=as_json)
    exit_if_failed(done.failed)


@run_app.command()
def conditions(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb")],
    out: Annotated[Path, typer.Option(help="folder of the tables")],
    steps: Annotated[int, typer.Option(min=1, help="of each fit")] = 300,
    jobs: Jobs = 1,
    scheduler: Annotated[str, typer.Option(help="Dask scheduler, tcp://host:port")] = "",
    as_json: AsJson = False,
) -> None:
    """Fit, explain and audit a VAE of every heart condition. It resumes when interrupted.

    Example: ecgnb run conditions --data mirror --out out/conditions --jobs 2
    """
    from ecgnb.studies.conditions import run_conditions

    done = run_conditions(data, out, n_step=steps, jobs=jobs, scheduler=scheduler)
    groups = done.tables["groups"]
    text = f"{groups.to_string(index=False)}\nthe tables are in {out}"
    tell({"folder": out, "groups": groups, "failed": done.failed}, text, as_json=as_json)
    exit_if_failed(done.failed)


@run_app.command()
def power(
    data: Annotated[Path, typer.Option(help="folder that holds ptbdb")],
    out: Out,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Refit networks to drawn people, simulated and real: which differences are found. It resumes.

    Example: ecgnb run power --data mirror --out power.csv.gz
    """
    from ecgnb.explanation.comparisons import judge_refits
    from ecgnb.studies.power import run_power

    done = run_power(data, out, jobs=jobs)
    shown = ["people", "measure", "axis", "condition", "severity", "size", "distance", "limit"]
    table = judge_refits(done.table)[[*shown, "p", "beyond", "n_refit", "n_healthy"]]
    report_run(out, {"refits": table}, done.failed, as_json=as_json, digits=3)


@run_app.command("lead-sets")
def every_lead_set(
    data: Mirror,
    out: Annotated[Path, typer.Option(help="folder of the tables")],
    parts: Names = "personal,people,days,watch",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Reconstruct from every set of leads that knows something different. It resumes.

    `watch` calibrates on leads recorded one after the other, the other parts on all at once.

    Example: ecgnb run lead-sets --data mirror --out results --jobs 2
    """
    from ecgnb.reconstruction.set_scores import (
        correlate_ranks,
        find_knee,
        rank_leads,
        summarise_sets,
    )
    from ecgnb.studies.lead_sets import SET_PARTS, USUAL_SETS, run_lead_sets
    from ecgnb.studies.watch_leads import run_watch_leads, summarise_watch_leads

    chosen, shown, lines = names_in(parts), {}, []
    refuse_unknown(chosen, (*SET_PARTS, "watch"), "part")
    done = run_lead_sets(data, out, parts=[one for one in chosen if one != "watch"], jobs=jobs)
    failed = done.failed
    for part, table in done.tables.items():
        if part == "values":
            wide = table.pivot(index="heart", columns="lead")
            shown[part] = rank_leads(wide["others_12"])
            alike = correlate_ranks(wide["others_12"], wide["power_uv"])
            lines.append(f"ranks against amplitude: {alike}")
            continue
        table = table[table["plan"] == "pairs"] if part == "days" else table
        shown[part] = summarise_sets(table, USUAL_SETS)
        lines.append(f"{part}: leads for ST within 0.1 mV: {find_knee(shown[part])}")
    if "watch" in chosen:
        watch = run_watch_leads(data, out / "watch_leads.csv.gz", jobs=jobs)
        shown["watch"], failed = summarise_watch_leads(watch.table), (*failed, *watch.failed)
    lines += [f"{part}\n{table.round(3).to_string()}" for part, table in shown.items()]
    tell({"folder": out, **shown, "failed": failed}, "\n".join(lines), as_json=as_json)
    exit_if_failed(failed)


@run_app.command()
def measures(
    data: Mirror,
    out: Annotated[Path, typer.Option(help="folder of the tables")],
    plans: Names = "inside,days,beats",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare clinical measures of originals and reconstructions, and bounds with LUDB's marks.

    It resumes. Example: ecgnb run measures --data mirror --out results --plans inside
    """
    from ecgnb.studies.delineation import run_delineation, summarise_delineation
    from ecgnb.studies.measures import MEASURE_PLANS, compare_measures, run_measures

    chosen = names_in(plans)
    refuse_unknown(chosen, MEASURE_PLANS, "plan")
    marks = run_delineation(data, out / "delineation.csv.gz", jobs=jobs)
    done = run_measures(data, out / "measures.csv.gz", plans=chosen, jobs=jobs)
    records = done.table[done.table["kind"] == "record"]
    shown = {"agreement": compare_measures(records, ["plan", "measure", "method"])}
    shown["delineation"] = summarise_delineation(marks.table)
    report_run(out, shown, (*marks.failed, *done.failed), as_json=as_json, digits=2)


@run_app.command()
def diagnosis(data: Data, out: Out, as_json: AsJson = False) -> None:
    """Tell conditions from originals, reconstructions and two controls.

    Example: ecgnb run diagnosis --data mirror --out diagnosis.csv.gz
    """
    from ecgnb.studies.diagnosis import run_diagnosis, summarise_diagnosis

    done = run_diagnosis(data, out)
    found = summarise_diagnosis(done.table)
    report_run(out, {"diagnoses": found}, done.failed, as_json=as_json, digits=3)
