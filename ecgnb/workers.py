"""Run many independent calls: here, in local processes, or on a Dask cluster, all alike."""

import ctypes
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import joblib

from ecgnb.progress import follow

CONNECT_S, WORKERS_S = 15.0, 120.0


class ClusterError(RuntimeError):
    """A Dask cluster that cannot be used, or that was lost."""


def one_thread() -> None:
    """Give this process one thread and keep glibc from returning large blocks.

    Two threads on two busy cores slow small convolutions down; returning large activations to
    the system costs 20 to 35 % (mallopt is skipped where glibc is not there). PyTorch is not
    loaded for it: it reads the variable when it is.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(-4, 0)  # M_MMAP_MAX
        library.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD
    except (OSError, AttributeError):
        return


def run_all(
    calls: Sequence[Any],
    folder: Path,
    *,
    jobs: int = 1,
    scheduler: str = "",
    what: str = "records",
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
    """Refuse workers with another version of this package, or that do not see the folder."""
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except OSError:
        raise ClusterError(f"the Dask cluster has no worker after {WORKERS_S:g} s") from None
    for worker, (found, sees) in client.run(_tell, folder).items():
        if found != version("ecgnb"):
            raise ClusterError(f"worker {worker} has ecgnb {found}, not {version('ecgnb')}")
        if not sees:
            raise ClusterError(f"worker {worker} does not see {folder}: use a shared folder")


def _tell(folder: Path) -> tuple[str, bool]:
    """Return what a worker knows: its version of this package, and whether it sees a folder."""
    return version("ecgnb"), folder.is_dir()
