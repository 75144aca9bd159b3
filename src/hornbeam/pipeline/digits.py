"""The example that every copy of Hornbeam carries: a digits model and digits it has never seen.

``digits.keras`` takes float32 pictures (batch, 8, 8, 1) with values 0..16 as ``image`` and
gives ten probabilities as ``digit``. ``heldout.npz`` holds ``images``, uint8 (450, 8, 8),
and ``labels``, uint8 (450,). Both are made by ``examples/digits/train.py``.

The pictures are from *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak
(1998), UCI Machine Learning Repository, doi:10.24432/C50P49, licensed CC BY 4.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hornbeam.errors import ModelLoadError

__all__ = ["DigitsFiles", "locate"]

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class DigitsFiles:
    """Where the example's Keras model and its held-out digits lie."""

    model: Path
    data: Path


def locate() -> DigitsFiles:
    """Finds the example in an installed wheel, or in the checkout that this code runs from.

    Raises ``ModelLoadError`` where a file of it is missing.
    """
    packaged = _PACKAGE / "examples" / "digits"
    checkout = _PACKAGE.parent.parent / "examples" / "digits"
    for folder in (packaged, checkout):
        files = DigitsFiles(folder / "digits.keras", folder / "heldout.npz")
        if files.model.is_file() and files.data.is_file():
            return files
    raise ModelLoadError(
        "The digits example was asked for",
        f"digits.keras and heldout.npz are neither in {packaged} nor in {checkout}",
        "Install Hornbeam again, or restore examples/digits in the checkout",
    )
