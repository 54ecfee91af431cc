"""The rooms of the package: who imports whom, and what each hands out."""

import ast
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skgd"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports_between_rooms():
    """Map each room, or file at the top, to those that its files import when they are loaded."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).with_suffix("").parts[0]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] != "skgd":
                continue
            module = node.module.split(".")
            others = module[1:2] or [alias.name for alias in node.names]
            graph.setdefault(room, set()).update(set(others) - {room})
    return graph


def reached_from(room, graph):
    seen, left = set(), [room]
    while left:
        new = graph.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return seen


def test_no_room_can_be_reached_from_itself():
    order = [*TopologicalSorter(imports_between_rooms()).static_order()]  # raises for a cycle
    assert order.index("objective") < order.index("descent") < order.index("estimators")


def test_gradient_sources_and_optimizers_do_not_know_each_other():
    graph = imports_between_rooms()
    assert "optimizers" not in reached_from("gradients", graph)
    assert "gradients" not in reached_from("optimizers", graph)
    assert {"gradients", "optimizers"} <= graph["descent"]


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "compiled"])
def test_a_room_says_what_it_has_and_hands_it_out(room):
    module = importlib.import_module(f"skgd.{room}")
    assert module.__doc__
    assert module.__all__
    assert all(hasattr(module, name) for name in module.__all__)
