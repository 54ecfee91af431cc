"""The first entries of a list that grows: a record that costs nothing and does not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FirstEntries(Sequence[Any]):
    """Reads the first n entries of a list to which others append; as long as nothing else is done.

    A copy of all entries after each epoch would make a training's cost grow with the square of
    its epochs. Pickled and copied it is a list.

    Parameters
    ----------
    entries : sequence
        Is referred to, not copied.
    n : int, default=None
        None is all that there are now.
    """

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __init__(self, entries: Sequence[Any], n: int | None = None) -> None:
        shared = entries._entries if isinstance(entries, FirstEntries) else entries
        self._entries: Sequence[Any] = shared
        self._n = len(entries) if n is None else min(n, len(entries))

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        places = range(self._n)[index]  # raises the IndexError
        if isinstance(places, int):
            return self._entries[places]
        return [self._entries[place] for place in places]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, FirstEntries)):
            return NotImplemented
        return list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
