#!/usr/bin/env python3
"""A disk full to the last byte, when the listener starts and under PostgreSQL: all wait and say so, and go on by themselves with room."""
import os
import re
import sys

import reading
import support
from support import Postgres, Process, Simulator, SmallDisk, recorded, roost, wait_until, write_configuration


def number(postgres, database, statement):
    """The value of a query, 0 while the database is away or has none."""
    return int(postgres.psql(statement, database, check=False) or 0)


def count(postgres, database):
    return number(postgres, database, "select count(*) from roost.posts")


def check(postgres, database, conf, tweets, repeated=False):
    found = postgres.rows("select id, text from roost.posts", database)
    assert len(found) == len(tweets), "none twice, none missing"
    assert {r["id"]: r["text"] for r in found} == {t["id_str"]: reading.full_text(t) for t in tweets}, "all texts are exact"
    assert number(postgres, database, "select count(*) from roost.rejects") == 0, "a full disk is no fault of a frame"
    assert repeated or number(postgres, database, "select sum(duplicate) from roost.batches") == 0
    assert "all agrees" in roost("audit", "-c", conf)


def last_frame(spool):
    return int(re.search(r"^last +(\d+)$", roost("spool", spool), re.M)[1])


def tear(spool):
    """Half a record at the end of the last segment, as a listener leaves it that is killed in the middle of writing."""
    last = sorted(spool.glob("segment-*"))[-1]
    with open(last, "r+b") as file:
        head = file.read(10)
        file.seek(0, os.SEEK_END)
        file.write(head)


def test_a_listener_that_starts_on_a_full_disk_waits_and_loses_nothing():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    disk = SmallDisk("recovery", "24m")
    postgres = Postgres()
    database = postgres.create()
    # Played again and again: what was on its way when the listener was killed comes once more.
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--rate", "1000", "--wait", "--loop")
    # The configuration's own folder: the spool and the bridge's socket both live on the small disk.
    conf = write_configuration("recovery", simulator.url, database, postgres, bridge="spool_max = 16MiB")
    assert conf.parent == disk.path
    spool = disk.path / "spool"
    roost("migrate", "-c", conf)

    # A new spool finds no room at all: said, and to be tried again (1), since systemd does not restart after 2.
    disk.fill()
    first = Process("first", "listen", "-c", conf)
    first.end(1)
    assert "No space left on device" in first.log(), first.log()
    disk.room()

    listen = Process("listen", "listen", "-c", conf)
    wait_until("frames", lambda: len(list(spool.glob("segment-*"))) > 1, alive=[simulator, listen])
    listen.kill()
    tear(spool)
    disk.fill()
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the listener to want room", lambda: "takes no posts: No space left on device" in listen.log(), alive=[simulator, listen])
    assert "unfinished frame" in listen.log() and "are lost" not in listen.log(), listen.log()
    etl = Process("etl", "etl", "-c", conf)
    wait_until("what was held", lambda: count(postgres, database) > 0, alive=[simulator, listen, etl])
    wait_until("the wish to write down who has what", lambda: "spool/consumers: No space left" in listen.log(), alive=[listen, etl])
    disk.room()
    wait_until("all rows", lambda: count(postgres, database) == len(tweets), alive=[simulator, listen, etl])
    assert listen.log().count("spool/consumers: No space left") == 1, "said once, not each second"
    listen.stop()
    last = last_frame(spool)
    wait_until("the etl to have all", lambda: number(postgres, database, "select sequence from roost.progress") >= last - 2, alive=[etl])
    etl.stop()
    simulator.stop()
    assert number(postgres, database, "select count(*) from roost.gaps where cause in ('corrupt', 'spool', 'spool_full')") == 0
    check(postgres, database, conf, tweets, repeated=True)


def fill_under(postgres, database, disk, simulator, conf, tweets, away, help_up=lambda: None):
    """The disk fills in the middle of the stream; `away` must be said; then there is room."""
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    wait_until("rows", lambda: count(postgres, database) > 0, alive=[simulator, listen, etl])
    disk.fill()
    wait_until("the etl to say so", lambda: any(words in etl.log() for words in away), alive=[simulator, listen, etl])
    print(next(line for line in etl.log().split("\n") if any(words in line for words in away)))

    def stays_full():
        disk.fill()  # what PostgreSQL gives back, such as an old file of its log, is taken too
        return last_frame(conf.parent / "spool") >= len(tweets)

    wait_until("the spool to have the rest", stays_full, alive=[simulator, listen, etl])
    disk.room()
    help_up()
    wait_until("all rows", lambda: count(postgres, database) == len(tweets), alive=[simulator, listen, etl])
    assert etl.log().count("sink main: away") == etl.log().count("sink main: back") == 1, etl.log()
    for process in (etl, listen, simulator):
        process.stop()
    check(postgres, database, conf, tweets)


def test_tables_on_a_full_disk_get_each_row_once_when_there_is_room():
    """A tablespace: PostgreSQL answers disk_full (53100) and lives on."""
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    disk = SmallDisk("tables-disk", "64m")
    postgres = Postgres()
    place = disk.path / "space"
    place.mkdir()
    owner = postgres.folder.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    postgres.psql(f"create tablespace small location '{place}'")
    database = postgres.create("tablespace small")
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--rate", "1500", "--wait", "--at-end", "hold")
    conf = write_configuration("tables", simulator.url, database, postgres)
    fill_under(postgres, database, disk, simulator, conf, tweets, ["No space left", "make room on the server's disk"])


def test_a_whole_database_on_a_full_disk_gets_each_row_once_when_there_is_room():
    """Its log of writes too: PostgreSQL may answer disk_full, or panic and be down until there is room."""
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    disk = SmallDisk("cluster-disk", "160m")
    postgres = Postgres(disk.path / "pg")
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--rate", "1500", "--wait", "--at-end", "hold")
    conf = write_configuration("cluster", simulator.url, database, postgres)

    def help_up():
        if postgres.psql("select 1", check=False) is None:
            postgres.run("kill")
            postgres.run("up")

    fill_under(postgres, database, disk, simulator, conf, tweets, ["No space left", "make room on the server's disk", "PostgreSQL:"], help_up)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
