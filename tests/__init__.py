"""Tidegate's tests: with this file, ``tests`` is ours and not a dependency's."""
