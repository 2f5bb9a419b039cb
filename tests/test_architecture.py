"""The shape of the repository: which folder may import which, no import circles, no long files, no drawers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "amalthea"
FOLDERS = ("core", "ops", "compiler", "backends", "nn", "data", "train", "saving", "export", "models")
TOP = ("tensorflow_names",)  # above all folders: only public modules import these
PUBLIC = {"datasets", "optimizers"}  # thin public packages, as thin as the public modules beside them
ANYTHING = "*"  # stands for a module that only the running program knows
LAZY = {"amalthea", "amalthea.module_alias"}  # import public modules when they are first used
FRAMEWORKS = {"tensorflow", "torch", "jax", "jaxlib", "keras", "flax", "mlx", "tinygrad"}
BY_NAME = {("amalthea.core.backend", "amalthea.backends")}  # the one dynamic import: the core looks for a backend
LONGEST = 600
MEASURED = ("amalthea", "tests", "examples", "benchmarks")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_of(root: Path) -> dict[str, Path]:
    """Every module of the package below `root`, by dotted name."""
    return {module_name(path, root): path for path in sorted((root / "amalthea").rglob("*.py"))}


def imports_of(path: Path, name: str, modules: set[str], running: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line, imported module) for every import statement in a file, inside functions and classes too.

    `from a import b` counts as an import of `a.b` where that is a module and of `a` otherwise. With `running`, the
    imports under `if TYPE_CHECKING:`, which only a type checker sees, are left out.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    unseen = set()
    for node in ast.walk(tree):
        if running and isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            unseen |= {id(child) for statement in node.body for child in ast.walk(statement)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield node.lineno, submodule if submodule in modules else base
        elif isinstance(node, ast.Call) and is_import(node):
            target = imported_name(node, name)
            if target is None:
                yield node.lineno, ANYTHING
            elif (name, target) not in BY_NAME:
                yield node.lineno, target


def is_import(call: ast.Call) -> bool:
    """Whether a call is one of `importlib.import_module(...)`, under whatever name, or `__import__(...)`."""
    return ast.unparse(call.func).rpartition(".")[2] in ("import_module", "__import__")


def imported_name(call: ast.Call, name: str) -> str | None:
    """What an import by name imports: of `f"a.b.{c}"` the folder `a.b`; None where nothing can be told."""
    given = call.args[0] if call.args else next((k.value for k in call.keywords if k.arg == "name"), None)
    if isinstance(given, ast.Constant):
        return str(given.value)
    parts = given.values if isinstance(given, ast.JoinedStr) else []
    text = ""
    for part in parts:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif isinstance(part, ast.FormattedValue) and ast.unparse(part.value) == "__name__":
            text += name
        else:
            break
    return text.rpartition(".")[0] or None


def height(module: str) -> int:
    """The place of a module's folder in the order; public modules and the package itself stand above all folders."""
    order = (*FOLDERS, *TOP)
    parts = module.split(".")
    return order.index(parts[1]) if len(parts) > 1 and parts[1] in order else len(order)


def upward_imports(root: Path) -> list[str]:
    modules = modules_of(root)
    return [
        f"{path.relative_to(root)}:{line}: {name} imports {to}, which stands above it"
        for name, path in modules.items()
        for line, to in imports_of(path, name, set(modules))
        if to.split(".")[0] == "amalthea" and height(to) > height(name)
    ]


def foreign_imports(root: Path) -> list[str]:
    modules = modules_of(root)
    return [
        f"{path.relative_to(root)}:{line}: {name} imports {to}"
        for name, path in modules.items()
        for line, to in imports_of(path, name, set(modules))
        if to.split(".")[0] in FRAMEWORKS and not name.startswith("amalthea.backends.")
    ]


def imports_of_anything(root: Path) -> list[str]:
    modules = modules_of(root)
    return [
        f"{path.relative_to(root)}:{line}: {name} imports a module whose name is made at run time"
        for name, path in modules.items()
        for line, to in imports_of(path, name, set(modules))
        if to == ANYTHING and name not in LAZY
    ]


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other (strongly connected components of more than one), by Tarjan."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def connect(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for to in sorted(edges.get(node, ())):
            if to not in index:
                connect(to)
                low[node] = min(low[node], low[to])
            elif to in stack:
                low[node] = min(low[node], index[to])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            connect(node)
    return found


def import_circles(root: Path) -> list[list[str]]:
    """Circles among modules, counting imports inside functions too: a hidden circle is still one."""
    modules = modules_of(root)
    edges = {
        name: {to for _, to in imports_of(path, name, set(modules), running=True) if to in modules and to != name}
        for name, path in modules.items()
    }
    return circles(edges)


def measured_files() -> list[Path]:
    return [path for folder in MEASURED for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_folder_of_the_package_has_its_place_in_the_order() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    homeless = folders - set(FOLDERS) - set(TOP) - PUBLIC
    assert not homeless, f"give these folders a place in FOLDERS: {sorted(homeless)}"


def test_folders_import_downwards_only() -> None:
    assert upward_imports(ROOT) == []


def test_no_import_circle() -> None:
    assert import_circles(ROOT) == []


def test_no_other_framework_outside_backends() -> None:
    assert foreign_imports(ROOT) == []


def test_no_import_whose_target_only_the_running_program_knows() -> None:
    assert imports_of_anything(ROOT) == []


def test_the_readme_says_which_folders_are_still_to_come() -> None:
    missing = [folder for folder in FOLDERS if not any((PACKAGE / folder).rglob("*.py"))]
    said = re.findall(r"Still to come: (.*?)\. ", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said == ([", ".join(f"`{folder}`" for folder in missing)] if missing else [])


def test_nothing_is_defined_twice_at_the_top_of_a_file() -> None:
    twice = []
    for path in measured_files():
        names = [
            target.id
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name) and target.id.isupper()
        ]
        twice += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(set(names)) if names.count(name) > 1]
    assert twice == []


def test_no_file_has_outgrown_its_name() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in measured_files()
        if (n := len(path.read_text().splitlines())) > LONGEST
    }
    assert long == {}


def test_no_utils_drawers() -> None:
    drawers = {"utils", "util", "helpers", "misc", "common"}
    named = [path for path in measured_files() if drawers & set(path.relative_to(ROOT).with_suffix("").parts)]
    assert [str(path.relative_to(ROOT)) for path in named if path != PACKAGE / "utils.py"] == []


@pytest.mark.parametrize(
    ("check", "files", "expected"),
    [
        pytest.param(
            upward_imports,
            {"core/a.py": "def f():\n    from amalthea.ops import b\n", "ops/b.py": ""},
            ["amalthea/core/a.py:2: amalthea.core.a imports amalthea.ops.b, which stands above it"],
            id="an import inside a function",
        ),
        pytest.param(
            upward_imports,
            {"ops/b.py": "from .. import layers\n", "layers.py": ""},
            ["amalthea/ops/b.py:1: amalthea.ops.b imports amalthea.layers, which stands above it"],
            id="a relative import of a public module",
        ),
        pytest.param(
            upward_imports,
            {"core/a.py": "import importlib\nimportlib.import_module('amalthea.nn')\n", "nn/__init__.py": ""},
            ["amalthea/core/a.py:2: amalthea.core.a imports amalthea.nn, which stands above it"],
            id="an import by name",
        ),
        pytest.param(
            upward_imports,
            {"core/a.py": "def f(x):\n    return import_module(f'amalthea.nn.{x}')\n", "nn/__init__.py": ""},
            ["amalthea/core/a.py:2: amalthea.core.a imports amalthea.nn, which stands above it"],
            id="an import by a name with a part of it known",
        ),
        pytest.param(
            imports_of_anything,
            {"core/a.py": "import importlib as i\ni.import_module(name=where)\ni.import_module(f'{a}.b')\n"},
            [
                "amalthea/core/a.py:2: amalthea.core.a imports a module whose name is made at run time",
                "amalthea/core/a.py:3: amalthea.core.a imports a module whose name is made at run time",
            ],
            id="an import by a name that is not known",
        ),
        pytest.param(
            foreign_imports,
            {"nn/a.py": "def f(x):\n    return __import__(f'jax.{x}')\n"},
            ["amalthea/nn/a.py:2: amalthea.nn.a imports jax"],
            id="another framework by name",
        ),
        pytest.param(
            imports_of_anything,
            {"backends/numpy/__init__.py": "import importlib\nimportlib.import_module(f'{__name__}.{x}')\n"},
            [],
            id="a part of the own package",
        ),
        pytest.param(
            upward_imports,
            {"models/a.py": "from amalthea.tensorflow_names import b\n", "tensorflow_names/b.py": ""},
            ["amalthea/models/a.py:1: amalthea.models.a imports amalthea.tensorflow_names.b, which stands above it"],
            id="the room at the top",
        ),
        pytest.param(
            upward_imports, {"ops/b.py": "from amalthea.core import a\n", "core/a.py": ""}, [], id="downwards is fine"
        ),
        pytest.param(
            foreign_imports,
            {"nn/a.py": "def f():\n    import torch.nn\n", "backends/jax/a.py": "import jax\n"},
            ["amalthea/nn/a.py:2: amalthea.nn.a imports torch.nn"],
            id="another framework",
        ),
        pytest.param(
            import_circles,
            {
                "core/a.py": "from amalthea.core import b\n",
                "core/b.py": "def f():\n    from amalthea.core.a import f\n",
            },
            [["amalthea.core.a", "amalthea.core.b"]],
            id="a circle through a function",
        ),
        pytest.param(
            import_circles,
            {
                "core/a.py": "from amalthea.core import b\n",
                "core/b.py": "if TYPE_CHECKING:\n    from amalthea.core.a import f\n",
            },
            [],
            id="an annotation may look back",
        ),
    ],
)
def test_the_checks_find_what_they_are_for(check, files, expected, tmp_path) -> None:
    for name, text in files.items():
        path = tmp_path / "amalthea" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert check(tmp_path) == expected
