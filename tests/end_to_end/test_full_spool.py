#!/usr/bin/env python3
"""A full spool holds the network back and lets go again as soon as the consumer has committed, also across restarts."""
import sys

import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration


def test_a_spool_that_filled_while_the_database_was_away_moves_on_after_all_services_restarted():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--loop", "--fresh-ids")
    conf = write_configuration("full", simulator.url, database, postgres, bridge="spool_max = 16MiB", source="store_raw = yes")
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)

    def progress():
        return int(postgres.psql("select coalesce(max(sequence), 0) from roost.progress", database, check=False) or 0)

    wait_until("rows", progress, alive=[listen, etl])
    postgres.run("kill")
    wait_until("the spool to be full", lambda: "spool_max is reached" in listen.log(), alive=[listen, etl])
    # The consumer has read all of it and committed some; whoever is asked to connect again must still get on.
    listen.kill()
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the consumer to be back", lambda: "is consumer" in listen.log(), alive=[listen, etl])
    postgres.run("up")
    wait_until("the spool's end to be committed", lambda: progress() > 0, alive=[listen, etl])
    etl.kill()
    before = progress()
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the stream to go on far beyond what the spool held", lambda: progress() > before + 20000, patience=support.PATIENCE * 2,
               alive=[listen, etl])
    etl.stop()
    listen.stop()
    simulator.stop()
    assert postgres.psql("select coalesce(sum(duplicate), 0) from roost.batches", database) == "0"


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
