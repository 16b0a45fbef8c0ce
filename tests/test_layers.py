"""The house stands: nine packages on a ground, imports only downwards, each name in one place."""

import ast
import json
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# From the ground up; packages of one floor do not know each other. `GROUND` stands for the
# modules that lie in `ecgnb/` itself.
GROUND = "ground"
FLOORS = (
    (GROUND,),
    ("records",),
    ("simulation", "signals"),
    ("reconstruction", "explanation"),
    ("studies", "figures"),
    ("book",),
    ("cli",),
)
FLOOR = {package: number for number, floor in enumerate(FLOORS) for package in floor}
ENTRIES = {"", "__main__"}  # the face of the whole and `python -m ecgnb`: they open every door
MOST_MODULES, MOST_LINES, LONGEST_FUNCTION, DEEPEST = 76, 450, 40, 12
# Rooms built on to the house, each for one purpose, with the most modules that it may have.
ROOMS = {
    "any file a person has": (17, r"records\.(formats\..+|long_files)|cli\.(targets|given)"),
    "another day": (
        12,
        r"reconstruction\.(pace|prior|change|another_day|expiry|expectation)"
        r"|studies\.(days|day_methods|day_scores|day_trials|changes)|cli\.run_days",
    ),
    "each head to its plateau": (1, r"studies\.heads"),
    "the power of a comparison": (1, r"studies\.power"),
    "recordings of any length": (4, r"reconstruction\.(blocks|streaming|cells|card)"),
    "which leads, which measures": (
        8,
        r"reconstruction\.(lead_sets|set_scores)|studies\.lead_sets|(signals|studies)\.measures"
        r"|studies\.(diagnosis|delineation|watch_leads)",
    ),
    "second edition": (
        8,
        r"figures\.(diagram_parts|diagrams|diagrams_of_use|tables)|explanation\.signs"
        r"|book\.(provenance|questions|reference)",
    ),
}
MOST_IMPORTS = 3


class House:
    """The modules of a package `ecgnb` below `root`: their trees and whom they import."""

    def __init__(self, root):
        self.paths = {self._name(path, root): path for path in (root / "ecgnb").rglob("*.py")}
        self.trees = {name: ast.parse(path.read_text()) for name, path in self.paths.items()}
        self.imports = {name: self._imports(name) for name in self.trees}

    @staticmethod
    def _name(path, root):
        parts = path.relative_to(root / "ecgnb").with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _imports(self, name):
        """Whom a module imports: also inside functions and under TYPE_CHECKING."""
        found = set()
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.Import):
                found |= {self._nearest(alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    base = self._absolute(name, node)
                found |= {self._nearest(f"{base}.{alias.name}") for alias in node.names}
        return found - {None, name}

    def _absolute(self, name, node):
        package = name if self.paths[name].name == "__init__.py" else name.rpartition(".")[0]
        parts = ["ecgnb", *package.split(".")] if package else ["ecgnb"]
        above = parts[: len(parts) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    def _nearest(self, dotted):
        """The module of the package that an imported name belongs to."""
        head, _, rest = dotted.partition(".")
        if head != "ecgnb":
            return None
        while rest and rest not in self.trees:
            rest = rest.rpartition(".")[0]
        return rest

    def room(self, name):
        head = name.split(".")[0]
        return head if head in FLOOR else GROUND

    def is_face(self, name):
        return self.paths[name].name == "__init__.py"


def forbidden_imports(house):
    """Imports that lead upwards, sideways, through a face, or from ground to ground."""
    wrong = []
    for name, others in house.imports.items():
        if name in ENTRIES:
            continue
        here = house.room(name)
        for other in others:
            there = house.room(other)
            inside = here == there and here != GROUND
            downwards = FLOOR[there] < FLOOR[here]
            own_parts = house.is_face(name) and other.startswith(f"{name}.")
            through_a_face = house.is_face(other) and not _is_room_of_modules(house, other)
            if not (inside or downwards or own_parts) or through_a_face:
                wrong.append(f"{name} imports {other or 'ecgnb'}")
    return sorted(wrong)


def _is_room_of_modules(house, name):
    """A package inside a package, whose __init__ holds code of its own, is no face."""
    return "." in name


def circles(house):
    """Chains of modules that import each other."""
    found, done = [], set()

    def follow(name, chain):
        if name in chain:
            found.append(" > ".join([*chain[chain.index(name) :], name]))
            return
        if name in done:
            return
        for other in house.imports[name]:
            follow(other, [*chain, name])
        done.add(name)

    for name in house.trees:
        if name not in ENTRIES:
            follow(name, [])
    return found


def depth(house):
    """The number of modules in the longest chain of imports."""
    known = {}

    def measure(name):
        if name not in known:
            known[name] = 1 + max((measure(other) for other in house.imports[name]), default=0)
        return known[name]

    return max(measure(name) for name in house.trees if name not in ENTRIES)


def definitions(tree):
    """The public functions, classes and constants that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for part in ast.walk(target):
                    if isinstance(part, ast.Name):
                        yield part.id, node


def defined_twice(house):
    """Public names that two modules define, apart from those that Python itself looks for."""
    where = defaultdict(set)
    for module, tree in house.trees.items():
        for name, _ in definitions(tree):
            if not name.startswith("_"):
                where[name].add(module)
    return {name: sorted(modules) for name, modules in where.items() if len(modules) > 1}


def words_used(tree):
    """Every name a piece of code mentions, as a name, an attribute or an import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def notebook_code(path):
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def users_outside(root):
    """What notebooks, benchmarks and the task graph mention, and the everyday names."""
    face = ast.parse((root / "ecgnb" / "__init__.py").read_text())
    used = {node.value for node in ast.walk(face) if isinstance(node, ast.Constant)}
    for path in (root / "book").glob("*.ipynb"):
        used |= set(words_used(ast.parse(notebook_code(path))))
    for path in [*(root / "benchmarks").rglob("*.py"), root / "dodo.py"]:
        used |= set(words_used(ast.parse(path.read_text())))
    return used


ENTRY_POINTS = {"cli.commands:main", "book.serve:serve", "book.site:setup"}


def is_entry(module, node):
    """Whether a function is called from outside Python: a command of typer, or an entry point."""
    calls = [each for each in node.decorator_list if isinstance(each, ast.Call)]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    return bool(names & {"command", "callback"}) or f"{module}:{node.name}" in ENTRY_POINTS


def unused_functions(house, outside):
    """Public functions that nobody uses but their own module, a face or a test."""
    faces = {name for name in house.trees if house.is_face(name)}
    words = {
        name: set(words_used(tree)) for name, tree in house.trees.items() if name not in faces
    }
    for name in faces:  # what a face uses beyond listing it
        words[name] = set(words_used(house.trees[name]))
    unused = []
    for module, tree in house.trees.items():
        elsewhere = outside.union(*(found for name, found in words.items() if name != module))
        for name, node in definitions(tree):
            is_public = isinstance(node, ast.FunctionDef) and not name.startswith("_")
            if is_public and name not in elsewhere and not is_entry(module, node):
                unused.append(f"{module}.{name}")
    return unused


@pytest.fixture(scope="module")
def house():
    return House(ROOT)


def test_imports_lead_only_downwards(house):
    assert forbidden_imports(house) == []


def test_no_modules_import_each_other_in_a_circle(house):
    assert circles(house) == []


def test_no_public_name_is_defined_twice(house):
    assert defined_twice(house) == {}


def test_every_public_function_is_used_outside_its_module_and_tests(house):
    assert unused_functions(house, users_outside(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from ecgnb.book import site",
        "import ecgnb.cli.run",
        "def late():\n    from ecgnb.studies.runner import run",
        "import typing\nif typing.TYPE_CHECKING:\n    from ecgnb.studies import runner",
        "from ..book import site",
        "from ecgnb import book",
        "from ecgnb import signals",
        "from ecgnb import open_chapter",
    ],
)
def test_a_planted_import_is_caught(tmp_path, line):
    house = planted(tmp_path, "signals/beats.py", line)
    assert len(forbidden_imports(house)) == 1


def test_packages_of_one_floor_do_not_know_each_other(tmp_path):
    house = planted(tmp_path, "reconstruction/scores.py", "from ecgnb.explanation import audit")
    assert forbidden_imports(house) == ["reconstruction.scores imports explanation.audit"]


def test_a_planted_circle_a_second_home_and_an_unused_function_are_caught(tmp_path):
    planted(tmp_path, "signals/beats.py", "from ecgnb.signals import checks\ndef measure(): ...")
    house = planted(
        tmp_path, "signals/checks.py", "from ecgnb.signals import beats\ndef measure(): ..."
    )
    assert circles(house) == ["signals.beats > signals.checks > signals.beats"] or circles(
        house
    ) == ["signals.checks > signals.beats > signals.checks"]
    assert defined_twice(house) == {"measure": ["signals.beats", "signals.checks"]}
    assert unused_functions(house, set()) == ["signals.beats.measure", "signals.checks.measure"]


def planted(folder, place, line):
    """A house of empty rooms, and one module with the given lines."""
    for package in FLOOR:
        if package != GROUND:
            (folder / "ecgnb" / package).mkdir(parents=True, exist_ok=True)
            (folder / "ecgnb" / package / "__init__.py").touch()
    (folder / "ecgnb" / "__init__.py").touch()
    for name in ("book/site", "cli/run", "studies/runner", "explanation/audit"):
        (folder / "ecgnb" / f"{name}.py").touch()
    (folder / "ecgnb" / place).write_text(line + "\n")
    return House(folder)


def test_the_house_is_small(house):
    modules = [name for name in house.trees if not house.is_face(name)]
    rooms = {
        room: {name for name in modules if re.fullmatch(pattern, name)}
        for room, (_, pattern) in ROOMS.items()
    }
    assert {room: len(rooms[room]) for room in rooms if len(rooms[room]) > ROOMS[room][0]} == {}
    assert len(set(modules) - set().union(*rooms.values())) <= MOST_MODULES
    lengths = {name: path.read_text().count("\n") for name, path in house.paths.items()}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}
    assert depth(house) <= DEEPEST


def test_functions_stay_short(house):
    long = {}
    for module, tree in house.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                first = node.body[0]
                doc = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
                length = node.end_lineno - node.lineno + 1 - doc
                if length > LONGEST_FUNCTION:
                    long[f"{module}.{node.name}"] = length
    assert long == {}


def test_a_notebook_imports_little():
    counts = {}
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        tree = ast.parse(notebook_code(path))
        found = [
            node
            for node in ast.walk(tree)
            if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ecgnb"))
            or (isinstance(node, ast.Import) and any("ecgnb" in a.name for a in node.names))
        ]
        counts[path.stem] = len(found)
    assert statistics.median(counts.values()) <= MOST_IMPORTS
    assert max(counts.values()) <= MOST_IMPORTS + 1


def test_every_package_has_one_sentence_and_every_face_lists_what_it_gives(house):
    import importlib

    for package in [*FLOOR][1:]:
        assert ast.get_docstring(house.trees[package])
        face = importlib.import_module(f"ecgnb.{package}")
        assert len(set(face.__all__)) == len(face.__all__)
        for name in face.__all__:
            assert getattr(face, name) is not None
    whole = importlib.import_module("ecgnb")
    assert all(getattr(whole, name) is not None for name in whole.__all__)


def test_contributing_shows_every_room():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for package in [*FLOOR][1:]:
        assert re.search(rf"`{package}`", text), package


def loaded(code):
    """The modules that are loaded after some code ran in a process of its own."""
    script = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_face_of_the_package_loads_nothing_heavy():
    found = loaded("import ecgnb; assert ecgnb.__version__")
    assert not found & {"torch", "pandas", "wfdb", "matplotlib", "scipy", "numpy"}


def test_help_loads_neither_tables_nor_records():
    code = "sys.argv = ['ecgnb', '--help']\nfrom ecgnb.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    pass"
    assert not loaded(code) & {"torch", "pandas", "wfdb", "matplotlib", "scipy"}


def test_figures_load_no_network():
    code = "import ecgnb.figures\nfor name in ecgnb.figures.__all__: getattr(ecgnb.figures, name)"
    assert "torch" not in loaded(code)


def test_closed_forms_load_no_network(tmp_path):
    code = (
        "from ecgnb.simulation.cohort import write_cohort\n"
        f"data = write_cohort({str(tmp_path / 'data')!r}, n_twadb=1, n_patient=0, duration_s=20)\n"
        "sys.argv = ['ecgnb', 'run', 'reconstruction', '--data', str(data), '--methods', "
        f"'closed_forms', '--out', {str(tmp_path / 'table.csv')!r}]\n"
        "from ecgnb.cli import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code"
    )
    assert "torch" not in loaded(code)
