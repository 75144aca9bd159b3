"""Functions that older Keras had under a name that means something else today."""

from __future__ import annotations

from typing import Any

__all__ = ["hard_sigmoid_keras2", "legacy_objects"]


def hard_sigmoid_keras2(x: Any) -> Any:
    """Return ``clip(0.2 x + 0.5, 0, 1)``: ``hard_sigmoid`` until Keras 2.

    Keras 3 computes ``relu6(x + 3) / 6`` under that name, whose slope is 1/6. ``x`` is a tensor
    of any shape and floating dtype, as is the result.
    """
    from keras import ops

    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def legacy_objects() -> dict[str, Any]:
    """Return the functions that repaired configs refer to, by the name that they use."""
    return {hard_sigmoid_keras2.__name__: hard_sigmoid_keras2}
