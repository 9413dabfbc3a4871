#!/usr/bin/env python3
"""Two cut connections, a database restart, killed services: every message is in the tables once, and nothing leaks."""
import os
import sys
import time

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration


def start(name, *simulator_arguments):
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold", *simulator_arguments)
    conf = write_configuration(name, simulator.url, database, postgres)
    roost("migrate", "-c", conf)
    return postgres, database, simulator, conf


def rows(postgres, database):
    count = postgres.psql("select count(*) from roost.posts", database, check=False)
    return int(count) if count else 0


def check_whole(postgres, database):
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    found = {r["id"]: r["text"] for r in postgres.rows("select id, text from roost.posts", database)}
    assert rows(postgres, database) == len(tweets), "none twice"
    assert found == {t["id_str"]: reading.full_text(t) for t in tweets}, "none missing, all exact"
    bad = postgres.psql("select count(*) from roost.batches where received <> loaded + duplicate + filtered + rejected + events", database)
    assert bad == "0"


def test_two_reconnections_and_a_database_restart_lose_nothing_and_leak_nothing():
    postgres, database, simulator, conf = start("cuts", "--cut-after", "2000")
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    wait_until("the first rows", lambda: rows(postgres, database) > 500, alive=[simulator, listen, etl])
    postgres.run("restart")
    wait_until("all rows", lambda: rows(postgres, database) >= 5982, alive=[simulator, listen, etl])
    assert simulator.log().count("filter.json") >= 3, "two reconnections at least"
    etl.stop()
    listen.stop()
    simulator.stop()
    check_whole(postgres, database)


def test_killed_services_lose_nothing_and_double_nothing():
    rounds = 12 if os.environ.get("ROOST_LONG") == "1" else 4
    postgres, database, simulator, conf = start("kills", "--rate", "1000", "--wait")
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    for number in range(rounds):
        goal = 5982 * (number + 1) // (rounds + 1)
        wait_until(f"{goal} rows", lambda: rows(postgres, database) >= goal, alive=[simulator, listen, etl])
        etl.kill()
        etl = Process("etl", "etl", "-c", conf)
    wait_until("all rows", lambda: rows(postgres, database) >= 5982, alive=[simulator, listen, etl])
    etl.stop()
    listen.stop()
    check_whole(postgres, database)
    assert postgres.psql("select sum(duplicate) from roost.batches", database) == "0", "the spool goes to the tables exactly once"


def test_what_the_spool_held_survives_a_killed_listener():
    postgres, database, simulator, conf = start("listener")
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the spool to hold the stream", lambda: spool_bytes(conf) > 3_000_000 and spool_still(conf), alive=[simulator, listen])
    listen.kill()
    listen = Process("listen", "listen", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    wait_until("all rows", lambda: rows(postgres, database) >= 5982, alive=[listen, etl])
    etl.stop()
    listen.stop()
    check_whole(postgres, database)


def spool_bytes(conf):
    spool = conf.parent / "spool"
    return sum(f.stat().st_size for f in spool.glob("segment-*")) if spool.exists() else 0


def spool_still(conf):
    """Nothing was written for a second, ten times the spool's sync interval: what is there is synced."""
    before = spool_bytes(conf)
    time.sleep(1)
    return spool_bytes(conf) == before


def test_the_database_away_costs_nothing_but_time_and_a_stop_is_quick():
    postgres, database, simulator, conf = start("away")
    postgres.run("kill")
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    wait_until("the etl to say that the database is away", lambda: "WARNING" in etl.log(), alive=[listen, etl])
    etl.stop(patience=20)
    etl = Process("etl", "etl", "-c", conf)
    postgres.run("up")
    wait_until("all rows", lambda: rows(postgres, database) >= 5982, alive=[listen, etl])
    etl.stop()
    listen.stop()
    check_whole(postgres, database)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
