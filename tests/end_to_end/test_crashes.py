#!/usr/bin/env python3
"""The short form of tests/crash: what the spool held before each kill is in the tables once, texts exact. ROOST_SEED chooses the moments."""
import os
import random
import sys

import crash
import support

ROUNDS = 8
SEED = int(os.environ.get("ROOST_SEED", "20181010"))


def test_killed_at_random_moments_the_tables_have_each_tweet_once():
    crash.run(ROUNDS, SEED, random.Random(SEED))


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
