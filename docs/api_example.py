"""Says what a batch would cost, carries it out, and says how each job stands.

It works against the emulator, without key, network or cost; leave `emulator` out, and it works against the service.
"""

from __future__ import annotations

import sys
from pathlib import Path

from wanrun import Event, State, WanrunError, api


def main(specs: list[str]) -> int:
    """Carry out specs, and return the exit code that `wanrun` would return."""
    setup = api.Setup(emulator=api.EmulatorOptions(speed=100_000, edit="none"))
    try:
        forecast = api.forecast(specs, setup)
        most = " + ".join(map(str, forecast.total.cost.values())) or "nothing"
        print(f"{forecast.total.jobs} jobs, {forecast.total.submit} to submit for at most {most}")
        outcome = api.run(specs, setup, max_cost="60 CNY", observe=hear)
    except WanrunError as exc:  # says what is wrong, where, and what to do
        print(exc, file=sys.stderr)
        return int(exc.exit_code)
    for job in outcome.jobs:
        print(f"{job.address} is {job.state}" + (f": {job.why}" if job.why else ""))
    done = [job for job in api.status(setup) if job.state is State.DONE]
    print(f"{len(done)} of {len(outcome.jobs)} done, {outcome.submitted} tasks made; exit code {outcome.exit_code}")
    return int(outcome.exit_code)


def hear(event: Event) -> None:
    """Print where one of the results is; every event could be printed so, or drawn."""
    if event.name == "delivered" and event.job == "edits/clay":
        place = Path(str(event.data["place"])).relative_to(Path.cwd())
        print(f"{event.job} is at {place}, {event.data['bytes']} bytes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
