"""How fast, how lean and how polite wanrun is, beside the official SDK, measured on an emulated account.

`python -m benchmarks` measures and writes `results/`; `python -m benchmarks.render` writes `docs/performance.md` from
them and measures nothing. Each benchmark is a module with `measure(size, folder)`, which returns what it found.
"""
