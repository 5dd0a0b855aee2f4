"""Written by stubs.py: inputs of each loss and its value, for the documentation."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, tuple[dict[str, Any], float]] = {}
