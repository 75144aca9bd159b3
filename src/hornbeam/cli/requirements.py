"""The libraries that a command cannot do without, looked for before any work is done."""

from __future__ import annotations

import importlib.util

from hornbeam.errors import EngineUnavailableError

__all__ = ["require"]


def require(*libraries: str, extra: str = "convert") -> None:
    """Raise `EngineUnavailableError` unless every one of ``libraries`` is installed."""
    missing = [name for name in libraries if not _installed(name)]
    if missing:
        raise EngineUnavailableError(
            f"This command needs {', '.join(libraries)}",
            f"Not installed: {', '.join(missing)}",
            f'Run: pip install "hornbeam[{extra}]"',
        )


def _installed(name: str) -> bool:
    # A name that is blocked by a None in sys.modules raises ValueError.
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
