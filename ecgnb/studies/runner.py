"""The engine of every study: many tasks whose results are kept, known by what they were made from.

A task's key is a SHA-256 of its options, of the bytes of its input and of the code, so that a kept
result never answers for anything else, and a run repeated unchanged computes nothing again.
"""

import contextlib
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits

from ecgnb.files import (
    checksum_path,
    code_digest,
    file_beside,
    read_table,
    write_bytes,
    write_manifest,
    write_table,
)
from ecgnb.progress import follow
from ecgnb.studies.plan import COST, Source, Task, plain_options

CONNECT_S, WORKERS_S = 15.0, 120.0


class ClusterError(RuntimeError):
    """A Dask cluster that cannot be used, or that was lost."""


@dataclass(frozen=True)
class Results:
    """What is kept of the tasks of a run."""

    store: Path
    tasks: tuple[Task, ...]

    @cached_property
    def done(self) -> list[Task]:
        """The tasks that are finished.

        Raises
        ------
        RuntimeError
            If none is, with a reason.
        """
        done = [task for task in self.tasks if task.is_done(self.store)]
        if not done:
            reason = _failure_of(self.store, self.tasks[0]) if self.tasks else "there is none"
            raise RuntimeError(f"no task finished; the first reason: {reason}")
        return done

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """A line for each thing that a task failed on, in order."""
        reasons: dict[str, str] = {}
        done = {task.stem for task in self.done}
        for task in self.tasks:
            if task.stem not in done:
                reasons.setdefault(task.about or task.name, _failure_of(self.store, task))
        return tuple(reasons[about] for about in sorted(reasons))

    def read(self, task: Task, kind: str = "rows") -> pd.DataFrame:
        """Return a table of a finished task, labelled."""
        table = read_table(task.file(self.store, kind))
        labels = ("origin", "database", "condition", "patient", "heart")
        table = table.fillna({name: "" for name in labels if name in table})
        return table.assign(**{name: task.labels[name] for name in task.labels if name in table})

    def table(self, kind: str = "rows") -> pd.DataFrame:
        """Return a table of all finished tasks that have one, one below the other."""
        tables = [self.read(task, kind) for task in self.done if kind in {*task.kinds, COST}]
        filled = [table for table in tables if len(table)] or tables[:1]
        return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()

    def costs(self) -> dict[str, float]:
        """Return the CPU and wall seconds of all finished tasks, whenever they ran."""
        costs = [self.read(task, COST)[["cpu_s", "wall_s"]].sum() for task in self.done]
        return {
            name: round(float(sum(cost[name] for cost in costs)), 1) for name in costs[0].index
        }

    def facts(self, sources: Sequence[Source], **facts: object) -> dict[str, Any]:
        """Return what a manifest says of a run: options and other facts, input, failures."""
        return json.loads(json.dumps(facts, default=plain_options)) | {
            "records": {source.name: source.digest for source in sources},
            "databases": sorted({source.database for source in sources} - {""}),
            "failed": list(self.failed),
        }


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: its tables by name, and a line for each thing that failed."""

    tables: dict[str, pd.DataFrame]
    failed: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """The first table."""
        return next(iter(self.tables.values()))


def store_of(out: Path | str) -> Path:
    """Return the folder of the tasks of a table."""
    return Path(out).with_name(f"{Path(out).name}.tasks")


@contextlib.contextmanager
def finished(
    tasks: Sequence[Task],
    store: Path,
    *,
    jobs: int = 1,
    scheduler: str = "",
    what: str = "tasks",
    progress: bool = True,
) -> Iterator[Results]:
    """Run what is not done of some tasks, and give the results while the folder is locked.

    A task that raises leaves its exception beside and costs only itself. Whatever ends a run, the
    next one goes on where it stopped. Results of other keys stay: they may be asked for again.

    Parameters
    ----------
    tasks
        In the order of their rows.
    store
        The folder of their results. Another run that works there is refused.
    jobs
        Local processes, one thread each.
    scheduler
        Address of a Dask scheduler whose workers are used instead; they must see the folders.
    what, progress
        What is counted, and whether it is told.
    """
    store = store.resolve()
    groups: dict[object, list[Task]] = {}
    for stem, task in {task.stem: task for task in tasks}.items():
        groups.setdefault(stem if task.needs is None else id(task.needs), []).append(task)
    calls = [joblib.delayed(_run_group)(tuple(group), store) for group in groups.values()]
    with _locked(store):
        _run_all(calls, store, jobs=jobs, scheduler=scheduler, what=what, progress=progress)
        for partial in store.glob(".partial-*"):  # left by processes that were killed
            partial.unlink(missing_ok=True)
        yield Results(store, tuple(tasks))


@contextlib.contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Keep a folder of tasks to one run; the lock goes with the process, however it ends.

    Raises
    ------
    RuntimeError
        If another run works in the folder.
    """
    store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RuntimeError(
            f"another run works in {store.name}; wait for it or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def write_study(
    tasks: Sequence[Task],
    out: Path | str,
    sources: Sequence[Source],
    *,
    digits: int = 6,
    facts: Mapping[str, object] | None = None,
    **how: Any,  # noqa: ANN401
) -> Outcome:
    """Return the table of a study with one kind of rows, after writing it and its manifest.

    Parameters
    ----------
    tasks, sources
        What is to do, and what it is made from.
    out
        The table, `.csv` or `.csv.gz`.
    digits
        Of numbers in the table.
    facts
        What else the manifest says.
    how
        As for `finished`.
    """
    out = Path(out)
    with finished(tasks, store_of(out), **how) as results:
        table = results.table()
        write_table(out, table, digits=digits)
        known = results.facts(sources, **(facts or {})) | results.costs()
        write_manifest(file_beside(out, "_manifest.json"), known)
        return Outcome({"table": table}, results.failed)


def _run_group(tasks: tuple[Task, ...], store: Path) -> None:
    """Run what is not done yet of tasks with one need."""
    left = [task for task in tasks if not task.is_done(store)]
    if not left:
        return
    one_thread()
    with threadpool_limits(1):
        given = ()
        if tasks[0].needs is not None:
            try:
                given = (tasks[0].needs(),)
            except Exception as error:
                for task in left:
                    _record_failure(store, task, error)
                return
        for task in left:
            _run_task(task, given, store)


def _run_task(task: Task, given: tuple[Any, ...], store: Path) -> None:
    """Write the tables of one task, or why there are none."""
    started = time.process_time(), time.perf_counter()
    try:
        tables = dict(task.work(*given))
    except Exception as error:
        _record_failure(store, task, error)
        return
    spent = time.process_time() - started[0], time.perf_counter() - started[1]
    tables.setdefault(COST, pd.DataFrame([spent], columns=["cpu_s", "wall_s"]))
    for kind in (COST, *task.kinds):
        write_table(task.file(store, kind), tables[kind], digits=task.digits)
    _forget_failure(store, task)


def _failure_file(store: Path, task: Task) -> Path:
    return store / f"{task.stem}.error.txt"


def _record_failure(store: Path, task: Task, error: BaseException) -> None:
    """Write the exception of a task beside where its result would be."""
    text = "".join(traceback.format_exception(error))
    write_bytes(_failure_file(store, task), text.encode())


def _failure_of(store: Path, task: Task) -> str:
    """Return what a task failed on and why: the last line of what `record_failure` wrote."""
    about = task.about or task.name
    try:
        last = _failure_file(store, task).read_text(encoding="utf-8").strip().splitlines()[-1]
    except (OSError, IndexError):
        return f"{about}: it did not finish"
    last = re.sub(r"^ecgnb[\w.]*\.(RecordError|MethodError): ", "", last)
    return f"{about}: {last.removeprefix(about.rsplit('/', 1)[-1] + ': ')}"


def _forget_failure(store: Path, task: Task) -> None:
    """Remove what an earlier failure of a task left."""
    file = _failure_file(store, task)
    for path in (file, checksum_path(file)):
        path.unlink(missing_ok=True)


def one_thread() -> None:
    """Give this process one thread and keep glibc from returning large blocks.

    Two threads on two busy cores slow small convolutions down; returning large activations to
    the system costs 20 to 35 %. PyTorch is not loaded for it: it reads the variable when it is.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if sys.platform != "linux":
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):  # another C library
        import ctypes

        library = ctypes.CDLL("libc.so.6")
        library.mallopt(-4, 0)  # M_MMAP_MAX
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def _run_all(
    calls: Sequence[Any],
    folder: Path,
    *,
    jobs: int = 1,
    scheduler: str = "",
    what: str = "tasks",
    progress: bool = True,
) -> None:
    """Run calls made by `joblib.delayed`, in any order; what they return is let go.

    Parameters
    ----------
    calls
        Each writes its own result below `folder`.
    folder
        Must be there; on a cluster every worker must see it under the same name.
    jobs
        Local processes, one thread each.
    scheduler
        Address of a Dask scheduler, `tcp://host:port`; its workers are used instead.
    what, progress
        What is counted, and whether it is told.

    Raises
    ------
    ClusterError
        If the cluster cannot be reached, cannot be used or goes away.
    """
    if scheduler:
        done = _on_cluster(calls, folder.resolve(), scheduler)
    else:
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            done = joblib.Parallel(return_as="generator_unordered")(calls)
    for _ in follow(done, len(calls), what, shown=progress):
        pass


def _on_cluster(calls: Sequence[Any], folder: Path, scheduler: str) -> Iterator[None]:
    """Yield once for each call that a cluster has run."""
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError("Dask is not installed: install ecgnb with its extra cluster") from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        _check_workers(client, folder)
        with joblib.parallel_config(_backend(client)):
            done = joblib.Parallel(return_as="generator_unordered", pre_dispatch="all")(calls)
        try:
            yield from done
        except OSError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            raise ClusterError(
                f"the cluster at {scheduler} failed ({reason}); run again: what is done is kept"
            ) from error


def _backend(client: Any) -> Any:  # noqa: ANN401 (Dask is optional)
    """Return joblib's Dask backend; its own runs everything here while there is one worker."""
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, super().effective_n_jobs(n_jobs))

    return Backend(client=client)


def _check_workers(client: Any, folder: Path) -> None:  # noqa: ANN401 (Dask is optional)
    """Refuse workers that would compute something else, or that do not see the folder."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except OSError:
        raise ClusterError(f"the Dask cluster has no worker after {WORKERS_S:g} s") from None
    for worker, (found, code, sees) in client.run(_tell, folder).items():
        if found != version("ecgnb"):
            raise ClusterError(f"worker {worker} has ecgnb {found}, not {version('ecgnb')}")
        if code != code_digest():
            raise ClusterError(
                f"worker {worker} has other code of ecgnb or other libraries than this machine: "
                "install the same everywhere"
            )
        if not sees:
            raise ClusterError(f"worker {worker} does not see {folder}: use a shared folder")


def _tell(folder: Path) -> tuple[str, str, bool]:
    """Return what a worker knows: version and digest of its code, whether it sees a folder."""
    return version("ecgnb"), code_digest(), folder.is_dir()
