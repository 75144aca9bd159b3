"""``python -m hornbeam`` is the command ``hornbeam``."""

from __future__ import annotations

from hornbeam.cli.main import main

if __name__ == "__main__":
    main()
