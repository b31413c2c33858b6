"""httpbin as it is published."""

from __future__ import annotations

from httpbin import app

__all__ = ["app"]
