"""Memory of a fit, and what it costs to begin: import, the first fit, loading kernels."""

from __future__ import annotations

import statistics
import subprocess
import sys
import textwrap

from timing import Report

_SETUP = """
    import numpy as np, skgd, warnings
    from pathlib import Path
    warnings.simplefilter("ignore")
    def memory(what):
        line = next(l for l in Path("/proc/self/status").read_text().splitlines() if what in l)
        return int(line.split()[1]) / 1024
    def peak_of(run):
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        run()
        return memory("VmHWM") - before
"""


def run(report: Report, rounds: int) -> None:
    """Memory, then start-up."""
    if sys.platform == "linux":
        report.heading("memory: peak of a fit beyond the data, MiB")
        _memory(report)
    report.heading("start-up")
    _start(report, rounds)


def _memory(report: Report) -> None:
    works = {
        "GDClassifier 1000000x28": ("GDClassifier(max_iter=3, tol=None)", 1_000_000, 28),
        "GDClassifier 1000000x28, lbfgs": (
            "GDClassifier(optimizer='lbfgs', max_iter=5, tol=None)", 1_000_000, 28),
        "GDRegressor 1000000x28": ("GDRegressor(max_iter=3, tol=None)", 1_000_000, 28),
        "GDClassifier 100000x28": ("GDClassifier(max_iter=3, tol=None)", 100_000, 28),
        "MLPBackpropClassifier 200000x28-64-64": (
            "MLPBackpropClassifier((64, 64), max_iter=1, tol=None)", 200_000, 28),
    }  # fmt: skip
    for work, (model, n, p) in works.items():
        for engine in ("numba", "numpy"):
            code = f"""
                rng = np.random.default_rng(0)
                X = rng.standard_normal(({n}, {p}))
                y = (X[:, 0] > 0).astype(np.int64)
                skgd.set_config(engine="{engine}")
                skgd.{model}.fit(X[:5000], y[:5000])
                skgd.{model}.fit(X[:5000], y[:5000])
                print(peak_of(lambda: skgd.{model}.fit(X, y)))
            """
            peak = float(_python(_SETUP, code))
            size = n * p * 8 / 2**20
            report.fact(f"{work}, {engine}: {peak:.1f} MiB, share of X", peak / size, "<= .10")


def _start(report: Report, rounds: int) -> None:
    clock = """
        import time
        start = time.perf_counter()
        {}
        print(time.perf_counter() - start)
    """

    def median(statement: str) -> float:
        times = [float(_python(clock.format(statement))) for _ in range(2 * rounds + 1)]
        return statistics.median(times)

    base, ours = median("import sklearn.linear_model"), median("import sklearn.linear_model, skgd")
    report.fact("import skgd beyond sklearn.linear_model, seconds", ours - base, "<= .1")
    loaded = """
        import sys, skgd
        print([name for name in ("numba", "matplotlib") if name in sys.modules])
    """
    report.fact("modules that import skgd loads of numba, matplotlib", _python(loaded), "[]")
    first = """
        import sys, time
        from sklearn.datasets import load_digits
        import skgd
        X, y = load_digits(return_X_y=True)
        start = time.perf_counter()
        model = skgd.MLPBackpropClassifier(random_state=0, {}).fit(X / 16, y)
        print(time.perf_counter() - start, model.engine_)
    """
    report.fact(
        "first fit of a process on digits, defaults, seconds", _python(first.format("")), "1"
    )
    warm = """
        import time, numpy as np, skgd
        X = np.random.default_rng(0).standard_normal((5000, 28)); y = (X[:, 0] > 0).astype(int)
        skgd.set_config(engine="numba")
        times = []
        for _ in range(3):
            start = time.perf_counter()
            skgd.GDClassifier(max_iter=1, tol=None).fit(X, y)
            times.append(time.perf_counter() - start)
        print(times[0] - min(times))
    """
    _python(warm)
    times = [float(_python(warm)) for _ in range(rounds)]
    report.fact("loading numba and compiled kernels in a new process, seconds",
                statistics.median(times))  # fmt: skip


def _python(*parts: str) -> str:
    code = "\n".join(textwrap.dedent(part) for part in parts)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr[-2000:])
    return result.stdout.strip()
