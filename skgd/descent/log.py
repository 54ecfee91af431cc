"""One line of text for an epoch, as `verbose` and `skgd.callbacks.PrintLog` show it."""

from __future__ import annotations

from collections.abc import Mapping

_COLUMNS = {  # name in history_ -> (heading, width, format)
    "epoch": ("epoch", 5, "d"),
    "loss": ("loss", 11, ".6g"),
    "validation_loss": ("valid loss", 11, ".6g"),
    "validation_score": ("score", 11, ".6g"),
    "learning_rate": ("rate", 9, ".3g"),
    "gradient_norm": ("gradient", 9, ".3g"),
    "seconds": ("seconds", 8, ".2f"),
}


def table_head(epoch: Mapping[str, float]) -> str:
    """Headings of the columns that the epoch has.

    Parameters
    ----------
    epoch : dict of str to float
        Last entries of the lists in ``history_``.
    """
    return "  ".join(f"{_COLUMNS[name][0]:>{_COLUMNS[name][1]}}" for name in _shown(epoch))


def table_row(epoch: Mapping[str, float]) -> str:
    """Return the numbers of one epoch, under `table_head`."""
    return "  ".join(
        f"{epoch[name]:{_COLUMNS[name][1]}{_COLUMNS[name][2]}}" for name in _shown(epoch)
    )


def epoch_line(epoch: Mapping[str, float]) -> str:
    """Return the numbers of one epoch with their names, to be read alone."""
    return "   ".join(
        f"{_COLUMNS[name][0]} {epoch[name]:{_COLUMNS[name][2]}}" for name in _shown(epoch)
    )


def _shown(epoch: Mapping[str, float]) -> list[str]:
    return [name for name in _COLUMNS if name in epoch]
