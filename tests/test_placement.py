from dataclasses import replace

import numpy as np
import pytest

from ecgnb.records.databases import load_database
from ecgnb.signals.placement import find_misplaced, misplace, misplacements, turn_over
from ecgnb.simulation.cohort import write_cohort


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("placement") / "c"
    write_cohort(folder, n_twadb=6, n_patient=1, duration_s=20.0, ptbdb_duration_s=5.0)
    return load_database(folder, "twadb").records


def test_every_misplacement_undoes_itself():
    for matrix in misplacements().values():
        assert np.allclose(matrix @ matrix, np.eye(8))


def test_a_sound_recording_is_left_alone(records):
    assert sum(bool(find_misplaced(record)) for record in records) <= 1


@pytest.mark.parametrize("lead", ["III", "aVL", "aVF", "I"])
def test_a_limb_lead_upside_down_is_named(lead, records):
    (said,) = find_misplaced(turn_over(records[0], lead))
    assert f"lead {lead} seems to be upside down" in said


def test_exchanged_limb_leads_are_named(records):
    signals = records[0].signals.copy()
    signals[[3, 5]] = signals[[5, 3]]
    (said,) = find_misplaced(replace(records[0], signals=signals))
    assert "aVR and aVF seem to be exchanged" in said


@pytest.mark.parametrize("name", ["right and left arm", "V1 and V5", "V2 and V4", "V3"])
def test_misplaced_electrodes_are_named(name, records):
    said = []
    for record in records:
        said.append(find_misplaced(misplace(record, name)))
    assert sum(name in "".join(one) for one in said) >= 4
