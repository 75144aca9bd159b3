"""A pytest plugin that runs as many of the chosen tests as fit into a time budget.

::

    PYTHONPATH=scripts python -m pytest -p slow_sample -m slow --sample-seconds 1800

The order is shuffled by ``--sample-seed`` (the gate gives the commit), so that over many
commits every slow test has its turn, while one commit always runs in the same order.
Tests for which no time is left are reported as skipped, never silently dropped.
"""

from __future__ import annotations

import random
import time

import pytest

STARTED = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slow sample")
    group.addoption("--sample-seconds", type=float, help="start no test after this many seconds")
    group.addoption("--sample-seed", default="0", help="what the order is shuffled by")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    random.Random(config.getoption("--sample-seed")).shuffle(items)
    config.stash[STARTED] = time.monotonic()


def pytest_report_header(config: pytest.Config) -> str:
    seconds, seed = config.getoption("--sample-seconds"), config.getoption("--sample-seed")
    return f"slow sample: {seconds} s, shuffled by {seed}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    budget = item.config.getoption("--sample-seconds")
    if budget is not None and time.monotonic() - item.config.stash[STARTED] > budget:
        pytest.skip(f"the sample's {budget:g} s are spent; 'make test-all' runs every test")
