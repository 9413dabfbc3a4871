#!/usr/bin/env python3
"""What a network sends again after each reconnection is counted as duplicates, exactly, and changes no row."""
import sys

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

TWEETS, CUT, REPEAT = 500, 200, 50


def test_tweets_repeated_after_a_reconnection_are_counted_as_duplicates_and_are_there_once():
    postgres = Postgres()
    database = postgres.create()
    # 200 tweets and a cut; 50 of them again, the next 200 and a cut; 50 of those again and the last 100.
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--total", TWEETS, "--cut-after", CUT, "--repeat", REPEAT)
    conf = write_configuration("repeats", simulator.url, database, postgres)
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    count = "select coalesce(sum(loaded + duplicate), 0) from roost.batches"
    wait_until("all with their repeats", lambda: int(postgres.psql(count, database)) >= TWEETS + 2 * REPEAT, alive=[simulator, listen, etl])
    for process in (simulator, etl, listen):
        process.stop()
    assert simulator.log().count(" -> 200 ") == 3, simulator.log()
    assert postgres.psql("select sum(loaded), sum(duplicate), sum(rejected) from roost.batches", database) == f"{TWEETS}\t{2 * REPEAT}\t0"
    expected = {t["id_str"]: reading.full_text(t) for t in reading.read_lines(recorded("tweets-v1.1.ndjson"))[:TWEETS]}
    found = postgres.rows("select id, text from roost.posts", database)
    assert len(found) == TWEETS and {r["id"]: r["text"] for r in found} == expected
    assert "all agrees" in roost("audit", "-c", conf)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
