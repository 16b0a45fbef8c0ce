"""Nothing that a file says is run, interpreted or shown raw."""

import ast
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgnb.records.record import Record, RecordError
from ecgnb.records.wfdb_files import read_record, write_record
from ecgnb.text import _for_page, for_figure, for_header, for_terminal, lines_for_terminal

mpl.use("Agg")
ROOT = Path(__file__).resolve().parent.parent
SOURCES = [*ROOT.glob("ecgnb/**/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "dodo.py"]
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib.numpy_pickle"}
UNSAFE_CALLS = {"eval", "exec", "read_pickle", "unsafe_load", "system", "popen"}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else None
            owner = node.func.value.id if name and isinstance(node.func.value, ast.Name) else ""
            yield owner, name or getattr(node.func, "id", ""), node


def keyword(node, name):
    return next((ast.literal_eval(k.value) for k in node.keywords if k.arg == name), None)


def problems(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        yield from (f"imports {name}" for name in names if name in UNSAFE_MODULES)
    for owner, name, node in calls(path):
        a_method = name == "eval" and isinstance(node.func, ast.Attribute)
        if name in UNSAFE_CALLS and not a_method:
            yield f"calls {name}"
        if (owner, name) == ("torch", "load") and keyword(node, "weights_only") is not True:
            yield "calls torch.load without weights_only=True"
        if (owner, name) == ("np", "load") and keyword(node, "allow_pickle") is not False:
            yield "calls np.load without allow_pickle=False"
        if (owner, name) == ("joblib", "load"):
            yield "calls joblib.load"
        if (owner, name) == ("yaml", "load"):
            yield "calls yaml.load"
        if keyword_is_true(node, "shell"):
            yield "starts a shell"


def keyword_is_true(node, name):
    return any(
        k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is True
        for k in node.keywords
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_reads_a_pickle_or_runs_text(path):
    assert list(problems(path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x', weights_only=False)",
        "import torch\ntorch.load('x')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "eval('1')",
    ],
)
def test_the_search_finds_what_it_looks_for(line, tmp_path):
    (tmp_path / "a.py").write_text(line)
    assert list(problems(tmp_path / "a.py"))


@given(st.text(max_size=300))
def test_no_text_reaches_the_terminal_with_control_characters(text):
    shown = for_terminal(text)
    assert shown.isprintable()
    assert len(shown) <= 200
    assert all(line.isprintable() for line in lines_for_terminal(text).split("\n"))
    assert "\n" not in for_header(text)


@given(st.text(max_size=80))
def test_no_text_becomes_markup(text):
    assert not set(_for_page(text)) & set("<>\"'")


@given(st.text(alphabet=r"$\{}^_xy\n ", max_size=20))
def test_no_text_becomes_a_formula(text):
    from matplotlib.text import Text

    shown, is_formula = Text()._preprocess_math(for_figure(text))
    assert not is_formula
    assert shown == for_terminal(text)


def test_a_title_that_is_no_formula_can_be_drawn():
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.set_title(for_figure(r"$\frac{$ and $\undefined$"))
    figure.canvas.draw()
    assert axes.title.get_window_extent().width > 0
    plt.close(figure)


@pytest.mark.parametrize("name", ["../evil", "a$b$", "<b>x", "a\x1b[2J", "a b"])
def test_a_record_whose_header_has_an_odd_name_is_refused(name, tmp_path):
    record = Record("r", np.zeros((12, 100), np.float32), 500.0)
    path = write_record(record, tmp_path)
    path.write_text(path.read_text().replace("r 12 500", f"{name} 12 500", 1))
    with pytest.raises(RecordError) as refused:
        read_record(path)
    assert str(refused.value).isprintable()


def test_a_number_file_with_objects_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, facts=np.array([{"x": 1}], dtype=object))
    from ecgnb.signals.prepared_files import _load_prepared as load_prepared

    with pytest.raises(ValueError, match=r"[Oo]bject arrays|pickle"):
        load_prepared(path)
