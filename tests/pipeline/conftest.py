"""A Keras backend for the tests that convert, before anything imports Keras."""

from __future__ import annotations

from hornbeam.converter.load import ensure_backend

ensure_backend()
