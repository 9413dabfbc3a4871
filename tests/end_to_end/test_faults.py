#!/usr/bin/env python3
"""The short form of tests/faults: random fault scripts, with the clock sped up; ROOST_SEED chooses them. One run has an etl and tables."""
import os
import sys

import faults
import support

SEED = int(os.environ.get("ROOST_SEED", "20181014"))
RUNS, SPEED = 4, 50


def test_spool_ledger_and_ladders_are_as_random_fault_scripts_made_them():
    if not faults.LIBRARY.exists():
        support.skip(f"there is no {faults.LIBRARY}")
    done, wrong = faults.play(range(SEED, SEED + RUNS), SPEED, parallel=4, postgres_every=RUNS, over=30)
    assert not wrong, "\n".join(f"seed {seed}: {why}" for seed, why in wrong)
    faults.check_precision(done)
    assert len(done) == RUNS and sum(run.exact for run in done) >= RUNS // 2, [(run.seed, run.exact) for run in done]


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
