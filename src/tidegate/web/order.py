"""In which order do the dependencies of a handler run, and which of them together?"""

from __future__ import annotations

from .inject import Node

__all__ = ["groups", "leaves_the_loop"]


def leaves_the_loop(node: Node) -> bool:
    """Say whether a dependency leaves the loop; classes only gather parameters."""
    if node.is_async or node.run == "inline":
        return False
    return node.run == "thread" or not isinstance(node.function, type)


def groups(nodes: list[Node]) -> list[tuple[str, list[Node]]]:
    """Put asynchronous dependencies first where they do not need plain ones, then group."""
    plain: set[int] = set()
    for node in nodes:
        if node.thread or any(one.slot in plain for one in node.inputs):
            plain.add(node.slot)
    ordered = [n for n in nodes if n.slot not in plain] + [n for n in nodes if n.slot in plain]
    found: list[tuple[str, list[Node]]] = []
    for node in ordered:
        kind = "thread" if node.thread else "loop"
        if found and found[-1][0] == kind:
            found[-1][1].append(node)
        else:
            found.append((kind, [node]))
    return found
