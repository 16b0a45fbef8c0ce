"""What happens when the package is imported: nothing that anybody else could notice."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATHS = sorted(set((ROOT / "ecgnb").rglob("*.py")) - {ROOT / "ecgnb" / "__main__.py"})
MODULES = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PATHS]
PROGRAM = """
import importlib, os, random, sys, warnings

def load():
    for name in sys.argv[1:]:
        importlib.import_module(name.removesuffix(".__init__"))

def state():
    numbers = str(np.random.get_state()), torch.get_rng_state().tolist(), random.getstate()
    return dict(os.environ), list(warnings.filters), numbers, mpl.rcParams.copy()

load()  # the libraries set warning filters and variables of their own
import matplotlib as mpl, numpy as np, torch
for name in [name for name in sys.modules if name.split(".")[0] == "ecgnb"]:
    del sys.modules[name]
before = state()
load()
for what, old, new in zip(("environ", "filters", "random", "figures"), before, state()):
    assert old == new, what
"""


def test_importing_every_module_warns_of_nothing_and_leaves_the_process_as_it_was():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *MODULES],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
