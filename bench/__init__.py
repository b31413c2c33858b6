"""Tidegate and its peers, measured side by side on this machine.

Run it as ``python -m bench``; ``bench/README.md`` says how to read the table.
It is a tool for people at a terminal: no test asserts on its figures.
"""
