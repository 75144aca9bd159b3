"""The rules of the house, enforced: who imports whom, what an import costs, how long is long."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hornbeam

PACKAGE = Path(hornbeam.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Each room and the rooms below it. Anyone may import errors and the package itself.
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "graph": set(),
    "devices": set(),
    "runtime": {"devices"},
    "converter": {"graph", "runtime", "devices"},
    "quantize": {"graph", "runtime", "devices"},
    "pipeline": {"graph", "converter", "quantize", "runtime", "devices"},
    "cli": {"graph", "converter", "quantize", "runtime", "devices", "pipeline"},
    "__init__": {"graph", "converter", "quantize", "runtime", "devices", "pipeline"},
    "__main__": {"cli"},
}

MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 50
MOST_PARAMETERS = 6

# What may exceed the budget, "file.py" or "file.py:Class.function", and why.
EXPLAINED: dict[str, str] = {
    "pipeline/convert.py:convert": "the public call, each parameter an option of the command",
    "converter/lowering/ops_nn.py:batch_norm": "the operands of one Keras operation, by name",
    "converter/lowering/ops_nn.py:dot_product_attention": "likewise",
}

# What the runtime must never bring in before an engine is opened.
HEAVY = ("ai_edge_litert", "jax", "keras", "onnx", "onnxruntime", "rich", "scipy", "tensorflow")


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, wherever in the file, with the line."""
    package = ("hornbeam", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            for alias in node.names:  # "from hornbeam import runtime" imports a room too
                if module == "hornbeam" and (PACKAGE / alias.name).is_dir():
                    yield node.lineno, f"hornbeam.{alias.name}"


def _functions(
    node: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + child.name, child
        inner = f"{prefix}{child.name}." if hasattr(child, "name") else prefix
        yield from _functions(child, inner)


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_run_downward_only(path: Path) -> None:
    room = _room(path)
    assert room in BELOW, f"{room} is a new room: say in BELOW which rooms are below it"
    upward = [
        f"line {line} imports {module}"
        for line, module in _imports(path)
        if module.startswith("hornbeam.")
        and module.split(".")[1] not in {room, "errors", *BELOW[room]}
    ]
    assert not upward, f"{_name(path)} may import {sorted(BELOW[room])}: {upward}"


def _over_budget(path: Path) -> dict[str, str]:
    """What in a file exceeds the budget, and by how much."""
    text = path.read_text(encoding="utf-8")
    over = {}
    lines = len(text.splitlines())
    if lines > MOST_LINES_IN_A_FILE:
        over[_name(path)] = f"{lines} lines, more than {MOST_LINES_IN_A_FILE}"
    for name, function in _functions(ast.parse(text)):
        key = f"{_name(path)}:{name}"
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > MOST_LINES_IN_A_FUNCTION:
            over[key] = f"{length} lines, more than {MOST_LINES_IN_A_FUNCTION}"
        arguments = function.args
        names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
        count = len(names) - (names[:1] in (["self"], ["cls"]))
        if count > MOST_PARAMETERS:
            over[key] = f"{count} parameters, more than {MOST_PARAMETERS}"
    return over


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_files_and_functions_keep_to_the_budget(path: Path) -> None:
    over = {key: text for key, text in _over_budget(path).items() if key not in EXPLAINED}
    assert not over, f"divide it, or explain it in EXPLAINED: {over}"


def test_every_explanation_is_still_needed() -> None:
    over = {key for path in FILES for key in _over_budget(path)}
    assert set(EXPLAINED) <= over, f"within the budget now: {sorted(set(EXPLAINED) - over)}"
    assert all(EXPLAINED.values()), "an exception without a reason"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)}
    return bool(names & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_error_is_swallowed_whole(path: Path) -> None:
    broad = [
        handler.lineno
        for handler in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(handler, ast.ExceptHandler)
        and _is_broad(handler)
        and not _raises_again(handler)
    ]
    assert not broad, f"{_name(path)} catches everything in lines {broad}: name the errors"


def _modules_after(statement: str) -> set[str]:
    """Name the top-level modules that a fresh interpreter has after ``statement``."""
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    result = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    return {line.split(".")[0] for line in result.stdout.splitlines()}


def test_importing_the_runtime_brings_in_numpy_and_nothing_heavier() -> None:
    brought = _modules_after("import hornbeam.runtime") - _modules_after("import numpy")
    third_party = {name for name in brought if name not in sys.stdlib_module_names}
    assert third_party <= {"hornbeam"}, f"also brought in: {sorted(third_party)}"


def test_importing_the_package_brings_in_nothing() -> None:
    brought = _modules_after("import hornbeam") - _modules_after("pass")
    third_party = {name for name in brought if name not in sys.stdlib_module_names}
    assert third_party == {"hornbeam"}, f"also brought in: {sorted(third_party - {'hornbeam'})}"


@pytest.mark.parametrize("name", ["affine.onnx", "affine.tflite"])
def test_opening_a_file_brings_in_its_own_engine_only(name: str) -> None:
    engine, other = ("onnxruntime", "ai_edge_litert")[:: 1 if name.endswith("onnx") else -1]
    pytest.importorskip(engine)
    path = Path(__file__).parent / "runtime" / "data" / name
    brought = _modules_after(f"import hornbeam; hornbeam.load({str(path)!r})")
    unwanted = brought & {*HEAVY, other} - {engine}
    assert not unwanted, f"{name} also brought in {sorted(unwanted)}"
