"""The child process of the second way in: whatever it does, the parent gets an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hornbeam.converter.secondway.arrays import load_arrays, save_arrays
from hornbeam.converter.secondway.process import Child
from hornbeam.errors import ConversionError, UnsupportedFormatError

PROGRAM = "misbehaving_child"


def child(seconds: float = 30.0, memory: int | None = None) -> Child:
    """A child that does as it is told."""
    return Child(PROGRAM, seconds=seconds, memory=memory)


@pytest.fixture
def one() -> Iterator[Child]:
    """One such child, running."""
    with child() as running:
        yield running


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_answers_and_nothing_is_left(one: Child) -> None:
    assert one.ask("An echo was asked for", "echo", text="é") == "é"
    one.ask("Much was to be said", "chatter")
    process, folder = one.ask("It was asked where it is", "where")
    assert Path(folder) == one.folder
    (one.folder / "left").mkdir()
    one.__exit__(None, None, None)
    assert _gone(process)
    assert not one.folder.exists()


def test_an_error_of_the_tree_arrives_as_what_it_is(one: Child) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        one.ask("A file was asked for", "refuse")
    parts = (caught.value.asked, caught.value.found, caught.value.advice)
    assert parts == ("A file was asked for", "It lacks Svd", "Try the other")
    assert one.ask("An echo was asked for", "echo", text="still here") == "still here"


def test_an_error_of_the_system_arrives_as_what_it_is(one: Child) -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        one.ask("A file was asked for", "full")
    assert caught.value.errno == 28


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGKILL"])
def test_a_death_names_the_signal_and_the_last_words(name: str, one: Child) -> None:
    with pytest.raises(ConversionError) as caught:
        one.ask("A file was asked for", "die", name=name)
    assert caught.value.asked == "A file was asked for"
    assert f"died of {name}" in caught.value.found
    assert "Check failed: size >= 0 (-1 vs. 0)" in caught.value.found
    assert "noise" not in caught.value.found
    assert ("memory" in str(caught.value)) == (name == "SIGKILL")
    with pytest.raises(ConversionError, match=name):
        one.ask("It was asked again", "echo", text="")


def test_an_exit_names_the_code(one: Child) -> None:
    with pytest.raises(ConversionError, match="ended with code 7"):
        one.ask("A file was asked for", "leave", code=7)


def test_an_unexpected_error_is_told_in_one_line(one: Child) -> None:
    with pytest.raises(ConversionError, match="ZeroDivisionError: a size of 0") as caught:
        one.ask("A file was asked for", "stumble")
    assert "second line" not in str(caught.value)


def test_a_child_that_hangs_is_stopped() -> None:
    with child(seconds=3.0) as hanging:
        process, _ = hanging.ask("It was asked where it is", "where")
        with pytest.raises(ConversionError, match="did not end within 3 seconds") as caught:
            hanging.ask("A file was asked for", "sleep")
        assert "time_limit" in caught.value.advice
        assert _gone(process)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others do not enforce the limit")
def test_memory_is_bounded() -> None:
    with (
        child(memory=1_500_000_000) as hungry,
        pytest.raises(ConversionError, match=r"more than the 1\.5 GB of memory"),
    ):
        hungry.ask("A file was asked for", "eat")


def test_a_program_that_does_not_start() -> None:
    with (
        Child("no_such_program", seconds=30.0) as absent,
        pytest.raises(ConversionError, match=r"ended with code 1.*no_such_program"),
    ):
        absent.ask("An echo was asked for", "echo", text="")


def test_a_child_ends_with_its_parent() -> None:
    code = (
        "import os, signal\n"
        "from hornbeam.converter.secondway.process import Child\n"
        f"child = Child({PROGRAM!r}, seconds=30.0).__enter__()\n"
        "print(*child.ask('', 'where'), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    number, folder = done.stdout.split()
    process = int(number)
    deadline = time.monotonic() + 20
    while not _zombie(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _zombie(process), "the child outlived its parent"
    assert not Path(folder).exists(), "its folder outlived both"


def _zombie(process: int) -> bool:
    """Gone, or dead and waited for by nobody, as in a container without an init process."""
    status = Path(f"/proc/{process}/stat")
    return _gone(process) or (status.exists() and ") Z " in status.read_text(encoding="ascii"))


def test_arrays_of_every_kind_travel(tmp_path: Path) -> None:
    arrays = {
        "a/b c": np.arange(6.0).reshape(2, 3),
        "scalar": np.asarray(3, np.int64),
        "texts": np.asarray([["ä", ""], [b"bytes", "d"]], dtype=object),
        "empty": np.zeros((0, 4), np.float32),
    }
    save_arrays(tmp_path / "arrays.npz", arrays)
    found = load_arrays(tmp_path / "arrays.npz")
    assert list(found) == list(arrays)
    assert found["texts"].tolist() == [["ä", ""], ["bytes", "d"]]
    for name in ("a/b c", "scalar", "empty"):
        assert np.array_equal(found[name], arrays[name])
        assert found[name].dtype == arrays[name].dtype
