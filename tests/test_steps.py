import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib.figure import Figure

from ecgnb.figures import recordings
from ecgnb.signals.preparation import PreprocessingOptions, prepare_record
from ecgnb.signals.steps import follow_steps, step_figures
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record


@pytest.fixture(scope="module")
def record():
    return simulate_record(SimulationOptions(duration_s=40.0), seed=3).record


@pytest.mark.parametrize("scaling", ["lead", "record"])
def test_the_last_step_is_what_the_models_get(record, scaling):
    options = PreprocessingOptions(scaling=scaling)
    steps = follow_steps(record, options)
    np.testing.assert_allclose(steps[-1].signals, prepare_record(record, options).train, atol=1e-6)
    np.testing.assert_array_equal(steps[0].signals, record.signals[:, : steps[0].signals.shape[1]])


def test_each_step_changes_the_figures_it_should(record):
    table = step_figures(follow_steps(record), "V2", 5.0, 6.0).set_index("step")
    assert list(table["samples"]) == [500, 500, 250, 250]
    recorded, filtered, resampled, scaled = (row for _, row in table.iterrows())
    assert filtered["below_half_hz"] < 0.2 * recorded["below_half_hz"]
    assert filtered["above_40_hz"] < 0.7 * recorded["above_40_hz"]
    assert abs(filtered["mean"]) < 1e-3 < abs(recorded["mean"])
    assert resampled["highest"] == pytest.approx(filtered["highest"], abs=0.03)
    assert -1 <= scaled["lowest"] < scaled["highest"] <= 1


def test_every_step_is_drawn_in_a_panel_of_its_own(record):
    panels = Figure().subplots(1, 4)
    recordings.plot_beat_steps(panels, follow_steps(record), "V2", 5.0, 6.0)
    assert [axes.get_title() for axes in panels] == [step.name for step in follow_steps(record)]
    assert len(panels[2].get_lines()[0].get_xdata()) == 250
    assert panels[3].get_ylabel() == "lead V2 / 1"


def test_the_truth_is_drawn_with_its_waves_and_its_abnormality():
    options = SimulationOptions("myocardial infarction", severity=0.8, duration_s=6.0)
    simulated = simulate_record(options, seed=1)
    one, other = Figure().subplots(1, 2)
    recordings.plot_truth(one, simulated, beat=2, lead="V2")
    assert [text.get_text() for text in one.texts] == ["P", "QRS", "T"]
    sick, healthy = (line.get_ydata() for line in one.get_lines())
    assert np.abs(sick - healthy).max() > 0.1
    image = recordings.plot_abnormality(other, simulated, beat=2).get_images()[0]
    np.testing.assert_allclose(image.get_array()[7], sick - healthy, atol=1e-12)
