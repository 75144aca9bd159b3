"""Each operation in each variant computes in onnxruntime what numpy computes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from onnx_cases import all_cases
from onnx_harness import Case, build, check, passes_convolution

CASES = all_cases()
_TOUCH_CONVOLUTIONS = [
    case
    for case in CASES
    if any(hasattr(item, "draw") and passes_convolution(item) for item in case.inputs)
]


@pytest.fixture(autouse=True)
def _no_warnings(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nor has onnxruntime anything to complain of."""
    yield
    assert "[W:" not in capfd.readouterr().err


@pytest.mark.parametrize("case", CASES, ids=str)
def test_alone(case: Case) -> None:
    check(case, build(case))


@pytest.mark.parametrize("case", _TOUCH_CONVOLUTIONS, ids=str)
def test_between_convolutions(case: Case) -> None:
    check(case, build(case, between_convolutions=True))


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20])
def test_older_opsets(opset: int) -> None:
    """All cases at once: most differ in nothing, and an opset has failures of a kind."""
    failed = {}
    for case in CASES:
        try:
            check(case, build(case), opset)
        except (AssertionError, RuntimeError, ValueError) as error:
            failed[case.name] = str(error)
    assert not failed
