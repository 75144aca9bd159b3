"""Keras → Graph: walks a trained model and lowers every operation it would run at inference."""

from __future__ import annotations

from hornbeam.converter.trace.model import InputSpec, signature_of, trace

__all__ = ["InputSpec", "signature_of", "trace"]
