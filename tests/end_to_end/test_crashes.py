#!/usr/bin/env python3
"""SIGKILL of etl, listen and PostgreSQL at random moments: what the spool held is in the tables once, texts exact, and the audit agrees.

ROOST_LONG=1: 40 rounds instead of 6. ROOST_SEED chooses the moments; the seed is printed.
"""
import os
import random
import sys
import time

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

ROUNDS = 40 if os.environ.get("ROOST_LONG") == "1" else 6
SEED = int(os.environ.get("ROOST_SEED", "20181010"))


class Services:
    """listen and etl, each of which ends only when it is killed."""

    def __init__(self, conf):
        self.conf = conf
        self.listen = Process("listen", "listen", "-c", conf)
        self.etl = Process("etl", "etl", "-c", conf)

    def keep(self):
        for process in (self.listen, self.etl):
            assert process.poll() is None, f"{process.name} ended with {process.returncode}:\n{process.log()[-3000:]}"
        return True

    def kill_listen(self):
        self.listen.kill()
        self.listen = Process("listen", "listen", "-c", self.conf)

    def kill_etl(self):
        self.etl.kill()
        self.etl = Process("etl", "etl", "-c", self.conf)


def number(postgres, database, statement):
    """The value of a query, 0 while the database is away or has none."""
    return int(postgres.psql(statement, database, check=False) or 0)


def received(postgres, database):
    return number(postgres, database, "select coalesce(sum(received), 0) from roost.batches")


def one_round(chance, services, postgres, database):
    """At least one batch is committed, then something dies a random moment later (that wait is the experiment, no condition)."""
    before = received(postgres, database)
    wait_until("a batch", lambda: services.keep() and received(postgres, database) > before)
    time.sleep(chance.uniform(0, 0.6))
    victims = chance.choice([["etl"], ["listen"], ["postgres"], ["etl", "listen"], ["etl", "postgres"], ["listen", "etl", "postgres"]])
    for victim in victims:
        if victim == "postgres":
            postgres.run("kill")
        else:
            getattr(services, f"kill_{victim}")()
    if "postgres" in victims:
        time.sleep(chance.uniform(0, 0.5))
        postgres.run("up")
    return victims


def settled(services, postgres, database, conf):
    """The audit agrees and nothing kept in the spool is still to come."""
    services.keep()
    output = roost("audit", "-c", conf)
    return " 0 behind the position: all agrees" in output and output


def test_killed_at_random_moments_the_tables_have_each_tweet_once():
    chance = random.Random(SEED)
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    postgres = Postgres()
    database = postgres.create()
    # Again and again the same tweets, as a network repeats some after a reconnection: all but the first of each are duplicates.
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--loop", "--rate", "2000", "--wait")
    conf = write_configuration("crashes", simulator.url, database, postgres)
    roost("migrate", "-c", conf)
    services = Services(conf)
    deaths = {}
    for _ in range(ROUNDS):
        for victim in one_round(chance, services, postgres, database):
            deaths[victim] = deaths.get(victim, 0) + 1
    wait_until("every tweet", lambda: services.keep() and number(postgres, database, "select count(*) from roost.posts") >= len(tweets))
    simulator.stop()
    output = wait_until("the tables to have all that the spool has", lambda: settled(services, postgres, database, conf))
    services.etl.stop()
    services.listen.stop()

    found = postgres.rows("select id, text from roost.posts", database)
    assert len(found) == len(tweets), "none twice"
    assert {r["id"]: r["text"] for r in found} == {t["id_str"]: reading.full_text(t) for t in tweets}, "none missing, all exact"
    frames, last, duplicates = (int(v) for v in postgres.psql(
        "select sum(received - filtered), max(last_sequence), sum(duplicate) from roost.batches", database).split("\t"))
    events = number(postgres, database, "select count(*) from roost.events")
    assert frames == last, "each number of the spool was taken once"
    assert duplicates == frames - events - len(tweets), "what was repeated was repeated by the network"
    roost("audit", "-c", conf)
    print(f"seed {SEED}, {ROUNDS} rounds, killed {deaths}: {frames} frames, {duplicates} repeats of the network, {events} events\n{output}", end="")


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
