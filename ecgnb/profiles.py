"""How large a run of the book is: `smoke` for CI, `demo` for a reader, `paper` for everything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Profile:
    """Sizes of one run; the code is the same in all of them.

    `None` means all there is. `n_record` counts records of twadb, `n_described` records of ptbdb,
    `n_network_record` records that networks are trained on, `n_patient` simulated patients of a
    condition, `n_vae_step` and `n_cnn_step` steps of the fits.
    """

    name: str
    n_record: int | None
    n_described: int
    n_network_record: int
    n_best_record: int
    n_seed: int
    n_patient: int
    twadb_duration_s: float
    n_cnn_step: int
    n_best_step: int
    n_vae_step: int
    n_map_patient: int
    n_bootstrap: int


PROFILES = {
    "smoke": Profile("smoke", 3, 24, 1, 1, 1, 4, 45.0, 30, 20, 60, 4, 200),
    "demo": Profile("demo", 8, 48, 5, 2, 1, 10, 60.0, 400, 200, 300, 20, 1000),
    "paper": Profile("paper", None, 1000, 60, 60, 5, 20, 120.0, 400, 300, 1500, 1000, 2000),
}
