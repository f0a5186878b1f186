"""Fixtures for these tests: `wanrun_run`, `wanrun_emulator`, `wanrun_chat`, `wanrun_artifact`."""

pytest_plugins = ["wanrun.testing.fixtures"]
