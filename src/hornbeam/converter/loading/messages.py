"""Errors of this package as whole sentences, and other libraries' complaints made short."""

from __future__ import annotations

from hornbeam.errors import ModelLoadError

__all__ = ["refusal", "summary"]


def refusal(asked: str, found: str, advice: str = "") -> ModelLoadError:
    """Return a ``ModelLoadError`` whose ``found`` and ``advice`` start with a capital."""
    return ModelLoadError(asked, _capital(found), _capital(advice))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def summary(error: BaseException) -> str:
    """Return the heart of another library's complaint, short enough for one message.

    Keras wraps what went wrong in a layer in pages of config, and puts it last.
    """
    text = str(error).rpartition("Exception encountered: ")[2].strip()
    lines = text.splitlines()
    line = lines[0].strip() if lines else type(error).__name__
    return line if len(line) <= 300 else line[:297] + "..."
