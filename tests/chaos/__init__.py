"""Proofs that take long: what wanrun promises about money and results, held against kills, faults and time.

Each part is a module of this package, listed in `parts`. `python -m pytest tests/chaos` runs each small enough for CI
and fails when a promise is broken; `PYTHONPATH=tests python -m chaos` (`make chaos`) runs them at full size, writes
`results/`, and `docs/reliability.md` from those.
"""
