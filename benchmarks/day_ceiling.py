"""How far one lead could get on another day: oracles that know what no method can know.

    python benchmarks/day_ceiling.py MIRROR results/days/ceiling.csv

Two oracles are fitted on the test itself, so that no score of theirs can be had:

* `moved_electrodes` mixes the eight independent leads of a reconstruction by the 8 x 8 matrix that
  comes nearest to the truth of the test (least squares), as if it knew where the electrodes went;
* `todays_beat` pastes the test's own average beat of all leads at the R peaks.

The first is given to the plain look-up of the calibration and to the method for another day. A row
per plan, heart, visible lead and arm holds the mean r over hidden leads and trials.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ecgnb.files import code_digest, file_beside, write_manifest, write_table
from ecgnb.leads import derive_leads, independent_signals, lead_index
from ecgnb.progress import follow
from ecgnb.reconstruction.average_beat import paste_beats
from ecgnb.reconstruction.pace import BEFORE_R, beat_at
from ecgnb.reconstruction.prior import DAY_RATE_HZ
from ecgnb.reconstruction.scores import score_leads
from ecgnb.signals.beats import find_peaks
from ecgnb.studies.day_methods import DAY_METHODS, predict_checked
from ecgnb.studies.day_trials import Trial, find_sessions, learn_hearts, plan_trials, read_trial
from ecgnb.studies.days import DAY_INPUTS

PLANS = {"10 s": ("pairs", 10.0), "all other days": ("others", 10.0)}

RIDGE = 1e-6


def move(guess: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return leads `(12, time)` whose eight independent ones are mixed towards the truth."""
    eight, wanted = independent_signals(guess), independent_signals(truth)
    gram = eight @ eight.T
    gram += RIDGE * np.trace(gram) * np.eye(len(gram))
    return derive_leads(np.linalg.solve(gram, eight @ wanted.T).T @ eight)


def arms(trial: Trial, of_others: dict[str, object]) -> Iterator[tuple[str, str, float]]:
    """Yield visible lead, arm and mean r over hidden leads of one trial."""
    calibrations, test = read_trial(trial)
    rows = [lead_index(name) for name in DAY_INPUTS]
    found = {
        name: predict_checked(
            DAY_METHODS[name],
            calibrations,
            test,
            rows,
            **{one: of_others[one] for one in DAY_METHODS[name].learns},
        )
        for name in ("neighbours", "another_day")
    }
    for place, lead in enumerate(DAY_INPUTS):
        peaks = find_peaks(test[rows[place]], DAY_RATE_HZ)
        made = {name: guesses[place] for name, guesses in found.items()}
        made |= {f"moved_electrodes_{name}": move(guess, test) for name, guess in made.items()}
        beat = beat_at(test, peaks)
        if beat is not None:
            made["todays_beat"] = paste_beats(beat, peaks, test.shape[-1], before=BEFORE_R)
        for arm, guess in made.items():
            yield lead, arm, float(score_leads(test, guess, lead)["r"].mean())


def score(folder: str) -> tuple[pd.DataFrame, list]:
    """Return the rows of all plans, and the sessions that were used."""
    sessions, others, rows = find_sessions(folder), learn_hearts(folder), []
    own = [one for one in sessions if one.heart.startswith("ptbdb")]
    for plan, (kind, first_s) in PLANS.items():
        trials = plan_trials(own, kind, first_s)
        for trial in follow(trials, len(trials), plan):
            for lead, arm, r in arms(trial, others.without(trial.test.heart)):
                rows.append((plan, trial.test.heart, lead, arm, r))
    table = pd.DataFrame(rows, columns=["plan", "heart", "input_lead", "method", "r"])
    return table.groupby(list(table.columns[:4]), sort=False).mean().reset_index(), own


if __name__ == "__main__":
    folder, out = sys.argv[1], Path(sys.argv[2])
    table, sessions = score(folder)
    write_table(out, table, digits=4)
    facts = {"records": {one.source.name: one.source.digest for one in sessions}}
    facts |= {"plans": PLANS, "code": code_digest("ecgnb.studies.days")}
    write_manifest(file_beside(out, "_manifest.json"), facts | {"cpu_s": time.process_time()})
    by_heart = table.groupby(["plan", "method", "heart"])["r"].mean()
    print(by_heart.groupby(["plan", "method"]).agg(["mean", "min", "count"]).round(3))
