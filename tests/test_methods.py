"""Every method speaks the same protocol, and the table of methods is the only one."""

import os
import subprocess
import sys

import numpy as np
import pytest

from ecgnb.leads import LEADS
from ecgnb.reconstruction.methods import CLOSED_FORMS, METHODS, Method, _fit_and_time, predict_test
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.cohort import write_cohort
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

QUICK = {
    "cnn_1d": {"n_weight": 5000, "n_step": 2},
    "cnn_2d": {"n_weight": 5000, "n_step": 2},
    "cnn_2d_separable": {"n_weight": 5000, "n_step": 2},
    "best": {"width": 4, "n_step": 2, "n_time": 128},
}


@pytest.fixture(scope="module")
def prepared():
    return prepare_record(simulate_record(SimulationOptions(duration_s=20.0), seed=5).record)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_gives_all_leads_for_each_input_in_the_order_of_its_inputs(prepared, method):
    inputs = (7, 0)
    model = METHODS[method].fit(prepared, inputs, seed=1, **QUICK.get(method, {}))
    found = model.predict(prepared.test[list(inputs)])
    assert found.shape == (2, len(LEADS), prepared.test.shape[1])
    assert np.isfinite(found).all()
    again = predict_test(prepared, method, inputs=inputs, seed=1, **QUICK.get(method, {}))
    np.testing.assert_array_equal(again, found.astype(np.float32))


@pytest.mark.parametrize("method", METHODS)
def test_a_model_refuses_signals_of_another_number_of_inputs(prepared, method):
    model = METHODS[method].fit(prepared, (7, 0), **QUICK.get(method, {}))
    for wrong in (prepared.test, prepared.test[:1], prepared.test[7]):
        with pytest.raises(ValueError, match="do not fit a model of 2 input leads"):
            model.predict(wrong)


@pytest.mark.parametrize("method", CLOSED_FORMS)
def test_a_closed_form_of_one_lead_is_that_of_all_leads_together(prepared, method):
    everything = predict_test(prepared, method)
    np.testing.assert_array_equal(predict_test(prepared, method, inputs=(7,))[0], everything[7])


@pytest.mark.parametrize("is_network", [False, True])
def test_a_closed_form_is_timed_lead_by_lead_and_a_network_in_equal_parts(
    prepared, monkeypatch, is_network
):
    line, asked = METHODS["least_squares"], []

    def noting(prepared, inputs, **options):
        asked.append(tuple(inputs))
        return line.fit(prepared, inputs, **options)

    monkeypatch.setitem(METHODS, "noted", Method("noted", "", noting, is_network))
    predictions, costs = _fit_and_time(prepared, "noted")
    leads = tuple(range(12))
    assert asked == ([leads] if is_network else [(lead,) for lead in leads])
    assert predictions.shape == (12, 12, prepared.test.shape[1])
    assert costs["input_lead"].tolist() == list(LEADS)
    assert (costs["wall_s"].nunique() == 1) == is_network


def test_a_run_of_closed_forms_from_the_command_line_loads_no_pytorch(tmp_path):
    folder = write_cohort(tmp_path / "c", n_twadb=1, n_patient=0, duration_s=20.0)
    program = """
import sys
from ecgnb.cli import main
try:
    main()
finally:
    assert "torch" not in sys.modules
"""
    command = ["run", "reconstruction", "--data", folder, "--out", tmp_path / "t.csv"]
    command += ["--methods", "closed_forms"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, command)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.csv").is_file()


KERNEL = """
import sys
import numpy as np
from ecgnb.reconstruction.methods import CLOSED_FORMS, predict_test
from ecgnb.signals.preparation import prepare_record
from ecgnb.simulation.synthesis import SimulationOptions, simulate_record

one = prepare_record(simulate_record(SimulationOptions(duration_s=40.0), seed=5).record)
np.savez(sys.argv[1], **{name: predict_test(one, name, inputs=(1, 7)) for name in CLOSED_FORMS})
"""


def test_a_processor_does_not_choose_what_is_predicted(tmp_path):
    """Two kernels of OpenBLAS differ in the last bits of an embedding, about 1e-15 of it.

    A look-up is a continuous function of the places but where two neighbours are equally far to
    these bits; predictions are float32, so that 1e-5 of the scaled range is a tenfold allowance.
    """
    found = {}
    for kernel in ("Haswell", "Prescott"):
        path = tmp_path / f"{kernel}.npz"
        environment = os.environ | {"OPENBLAS_CORETYPE": kernel}
        command = [sys.executable, "-W", "ignore", "-c", KERNEL, str(path)]
        subprocess.run(command, env=environment, check=True)
        with np.load(path) as arrays:
            found[kernel] = dict(arrays)
    one, other = found.values()
    for name, predictions in one.items():
        np.testing.assert_allclose(predictions, other[name], atol=1e-5, err_msg=name)
