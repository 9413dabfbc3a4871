#!/usr/bin/env python3
"""Two consumers of one bridge, one of them dead for a while: each gets every post, and the spool keeps what the dead one lacks."""
import re
import sys

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration


def count(postgres, database):
    return int(postgres.psql("select count(*) from roost.posts", database))


def look(spool):
    """acknowledged by consumer, and the first and last frame kept."""
    text = roost("spool", spool)
    acknowledged = {m[1]: int(m[2]) for m in re.finditer(r"^consumer +(\S+) +acknowledged (\d+)", text, re.M)}
    first, last = (int(re.search(rf"^{word} +(\d+)$", text, re.M)[1]) for word in ("first", "last"))
    return acknowledged, first, last


def for_second(conf, databases):
    """The same bridge, another consumer and another database."""
    text = conf.read_text().replace("consumer = a", "consumer = b").replace(f"dbname={databases[0]}", f"dbname={databases[1]}")
    path = conf.with_name("second.conf")
    path.write_text(text)
    path.chmod(0o600)
    return path


def check(postgres, database, conf, tweets):
    found = postgres.rows("select id, text from roost.posts", database)
    assert len(found) == len(tweets), "none twice, none missing"
    assert {r["id"]: r["text"] for r in found} == {t["id_str"]: reading.full_text(t) for t in tweets}, "all texts are exact"
    assert postgres.psql("select sum(duplicate), (select count(*) from roost.rejects) from roost.batches", database) == "0\t0"
    assert postgres.psql("select count(*) from roost.gaps where cause <> 'stopped'", database) == "0"
    assert "all agrees" in roost("audit", "-c", conf)


def test_a_consumer_that_was_dead_gets_all_that_came_meanwhile():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    postgres = Postgres()
    databases = [postgres.create(), postgres.create()]
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--rate", "1500", "--wait", "--at-end", "hold")
    # Segments of 1 MiB, so that there is something to keep and to give back.
    first = write_configuration("two", simulator.url, databases[0], postgres, bridge="spool_max = 16MiB", etl="consumer = a")
    second = for_second(first, databases)
    for conf in (first, second):
        roost("migrate", "-c", conf)
    spool = first.parent / "spool"
    listen = Process("listen", "listen", "-c", first)
    a, b = Process("a", "etl", "-c", first), Process("b", "etl", "-c", second)
    wait_until("rows of both", lambda: all(count(postgres, d) > 0 for d in databases), alive=[simulator, listen, a, b])
    b.kill()
    dead_at = count(postgres, databases[1])
    wait_until("the other one to get the rest", lambda: count(postgres, databases[0]) == len(tweets), alive=[simulator, listen, a])
    assert count(postgres, databases[1]) <= dead_at + 1500, "a commit under way at most"
    wait_until("its acknowledgement", lambda: look(spool)[0]["a"] >= len(tweets), alive=[listen, a])
    acknowledged, kept, last = look(spool)
    assert kept <= acknowledged["b"] + 1 and acknowledged["b"] < last, f"the spool keeps what the dead one lacks: {acknowledged}, {kept} to {last}"
    segments = len(list(spool.glob("segment-*")))
    assert segments > 1, "more than the segment that is always kept"
    # The listener too is started anew meanwhile: who is known, and what is owed, is on disk.
    listen.stop()
    listen = Process("listen", "listen", "-c", first)
    wait_until("the bridge", lambda: "listening on" in listen.log(), alive=[listen])
    assert look(spool)[0]["b"] == acknowledged["b"] and look(spool)[1] == kept
    b = Process("b", "etl", "-c", second)
    wait_until("the rest", lambda: count(postgres, databases[1]) == len(tweets), alive=[listen, a, b])
    wait_until("the spool to give back what all have", lambda: len(list(spool.glob("segment-*"))) < segments and look(spool)[1] > acknowledged["b"],
               alive=[listen, a, b])
    for process in (b, a, listen, simulator):
        process.stop()
    for database, conf in zip(databases, (first, second)):
        check(postgres, database, conf, tweets)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
