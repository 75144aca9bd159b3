"""The wheel as a stranger gets it, and the documents that say how to work on the project."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path

import numpy as np
import pytest

import hornbeam
from hornbeam.pipeline import digits

ROOT = Path(__file__).resolve().parent.parent
BASE = {"click", "numpy", "tabulate", "tqdm"}
EXTRAS = {"convert", "cpu", "cuda", "dev", "litert", "tensorflow"}
# What the base may add to numpy on disk, Hornbeam itself included.
BASE_MEGABYTES = 5


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as from a shell that knows nothing of this checkout."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST", "COV"))}
    return subprocess.run(
        command, cwd=cwd, env=outer | variables, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, so that both are tried."""
    folder = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


class TestWheel:
    def test_version_comes_from_the_package_alone(self, wheel: Path) -> None:
        metadata = self.metadata(wheel)
        assert metadata["Version"] == hornbeam.__version__
        assert "\nversion =" not in read("pyproject.toml"), "the version stands twice"

    def test_changelog_opens_with_this_version_or_the_next(self) -> None:
        heading = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
        assert heading is not None
        assert heading[1] in {"Unreleased", hornbeam.__version__}

    def test_declares_its_extras_and_a_light_base(self, wheel: Path) -> None:
        metadata = self.metadata(wheel)
        assert set(metadata.get_all("Provides-Extra")) == EXTRAS
        needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
        assert {re.split(r"[^\w-]", line)[0] for line in needed} == BASE

    def test_holds_every_module_and_no_test(self, wheel: Path) -> None:
        names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
        source = ROOT / "src"
        modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
        assert not modules - names, "modules missing from the wheel"
        assert "hornbeam/py.typed" in names
        assert not [name for name in names if not name.startswith("hornbeam/")]

    def test_carries_the_digits_example_as_it_is_in_the_checkout(self, wheel: Path) -> None:
        archive = zipfile.ZipFile(wheel)
        files = digits.locate()
        for path in (files.model, files.data):
            packed = archive.read(f"hornbeam/examples/digits/{path.name}")
            assert packed == path.read_bytes(), path.name

    def test_carries_the_licence(self, wheel: Path) -> None:
        names = zipfile.ZipFile(wheel).namelist()
        assert [name for name in names if name.endswith("licenses/LICENSE")], names

    @staticmethod
    def metadata(wheel: Path) -> dict[str, object]:
        archive = zipfile.ZipFile(wheel)
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


class TestDocuments:
    def test_make_help_lists_every_target(self) -> None:
        targets = set(re.findall(r"^\.PHONY: (\S+)", read("Makefile"), re.MULTILINE))
        shown = run("make", "--no-print-directory", cwd=ROOT)
        assert shown.returncode == 0, shown.stderr
        listed = set(re.findall(r"^ +make (\S+)", shown.stdout, re.MULTILINE))
        assert {"demo", "test"} <= listed
        assert listed == targets

    @pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
    def test_make_commands_named_in_documents_exist(self, document: str) -> None:
        targets = set(re.findall(r"^\.PHONY: (\S+)", read("Makefile"), re.MULTILINE))
        named = set(
            re.findall(r"(?:^|`|\bstep .*|&& )make ([a-z-]+)", read(document), re.MULTILINE)
        )
        assert named, f"{document} names no make command"
        assert named <= targets

    def test_readme_commands_exist(self) -> None:
        named = set(re.findall(r"^(?:\$ )?hornbeam ([a-z]+)", read("README.md"), re.MULTILINE))
        assert named, "README.md names no hornbeam command"
        shown = run(Path(sys.executable).with_name("hornbeam"), "--help", cwd=ROOT)
        assert shown.returncode == 0, shown.stderr
        missing = {name for name in named if not re.search(rf"^  {name}\b", shown.stdout, re.M)}
        assert not missing, f"hornbeam --help does not know {missing}"

    def test_python_versions_agree(self) -> None:
        """The oldest Python is said in three places, for three tools."""
        project = read("pyproject.toml")
        (oldest,) = re.findall(r'requires-python = ">=(\S+)"', project)
        assert f'target-version = "py{oldest.replace(".", "")}"' in project
        assert f'python_version = "{oldest}"' in project
        assert f'SUPPORTED = ("{oldest}",' in read("scripts/test_runtime.py")


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel and its base dependencies: its bin folder."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    python = folder / "bin" / "python"
    if importlib.util.find_spec("pip"):
        install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    else:
        install = [shutil.which("uv") or "uv", "pip", "install", "--quiet", "--python", str(python)]
    installed = run(*install, str(wheel), cwd=folder.parent)
    assert installed.returncode == 0, installed.stderr
    return folder / "bin"


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole ONNX model of one operator."""
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    values = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = make.make_graph([make.make_node("Neg", ["x"], ["y"])], "negate", values[:1], values[1:])
    path = tmp_path_factory.mktemp("model") / "negate.onnx"
    onnx.save(make.make_model(graph), path)
    np.save(path.with_suffix(".npy"), np.zeros(1, np.float32))
    return path


@pytest.mark.slow
class TestEmptyEnvironment:
    """The base install: numpy, three small libraries, and neither an engine nor a converter."""

    def test_holds_the_base_and_nothing_else(self, empty: Path) -> None:
        found = self.python(
            empty,
            "import importlib.metadata as m, json\n"
            "print(json.dumps([d.name.lower() for d in m.distributions()]))",
        )
        assert set(json.loads(found)) == BASE | {"hornbeam"}

    def test_adds_little_to_numpy(self, empty: Path) -> None:
        site = Path(self.python(empty, "import numpy; print(numpy.__path__[0])")).parent
        added = self.size(p for p in site.iterdir() if not p.name.startswith("numpy"))
        assert added <= BASE_MEGABYTES * 1e6, f"{added / 1e6:.1f} MB"

    def test_runtime_imports_with_numpy_alone(self, empty: Path) -> None:
        heavy = {"keras", "jax", "onnx", "onnxruntime", "ai_edge_litert", "tensorflow", "rich"}
        loaded = self.python(
            empty,
            "import hornbeam.runtime, json, sys\n"
            "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))",
        )
        assert "numpy" in json.loads(loaded)
        assert not heavy & set(json.loads(loaded))

    def test_command_explains_itself(self, empty: Path) -> None:
        for arguments in ([], ["convert"], ["run"], ["demo"]):
            shown = run(empty / "hornbeam", *arguments, "--help", cwd=empty)
            assert shown.returncode == 0, f"{arguments}: {shown.stderr}"
            assert "Usage:" in shown.stdout

    def test_finds_the_digits_example_in_the_wheel(self, empty: Path) -> None:
        show = "from hornbeam.pipeline.digits import locate; print(locate().model)"
        model = Path(self.python(empty, show))
        assert model.is_relative_to(empty.parent), model
        assert model.read_bytes() == digits.locate().model.read_bytes()

    def test_load_without_an_engine_names_the_install_command(
        self, empty: Path, onnx_file: Path
    ) -> None:
        said = self.python(
            empty,
            "import hornbeam, hornbeam.errors, sys\n"
            "try:\n    hornbeam.load(sys.argv[1])\n"
            "except hornbeam.errors.EngineUnavailableError as error:\n    print(error)",
            str(onnx_file),
        )
        assert "pip install" in said
        assert "hornbeam[cpu]" in said

    def test_run_without_an_engine_names_the_install_command(
        self, empty: Path, onnx_file: Path, tmp_path: Path
    ) -> None:
        picture = onnx_file.with_suffix(".npy")
        self.refuses(
            empty, "hornbeam[cpu]", "run", onnx_file, "--input", picture, "-o", tmp_path / "y.npz"
        )
        assert not list(tmp_path.iterdir())

    def test_convert_without_keras_names_the_install_command(
        self, empty: Path, tmp_path: Path
    ) -> None:
        model = digits.locate().model
        self.refuses(empty, "hornbeam[convert]", "convert", model, "-o", tmp_path / "digits.onnx")
        assert not list(tmp_path.iterdir())

    def test_demo_without_keras_names_the_install_command(self, empty: Path) -> None:
        self.refuses(empty, "hornbeam[convert]", "demo")

    @staticmethod
    def python(empty: Path, code: str, *arguments: str) -> str:
        done = run(empty / "python", "-c", code, *arguments, cwd=empty)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @staticmethod
    def refuses(empty: Path, extra: str, *arguments: str | Path) -> None:
        done = run(empty / "hornbeam", *arguments, cwd=empty)
        assert done.returncode == 1, done.stdout + done.stderr
        assert extra in done.stderr
        assert "Traceback" not in done.stderr

    @staticmethod
    def size(paths: Iterable[Path]) -> int:
        files = (f for path in paths for f in (path, *path.rglob("*")) if f.is_file())
        return sum(file.stat().st_size for file in files)
