#!/usr/bin/env python3
"""Two etl of one name: the second waits while the first works, takes over when it is killed, and nothing is written twice."""
import sys

import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

TWEETS = 5982


def start(name, *arguments, **options):
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", *arguments)
    conf = write_configuration(name, simulator.url, database, postgres, **options)
    roost("migrate", "-c", conf)
    return postgres, database, simulator, conf


def rows(postgres, database):
    return int(postgres.psql("select count(*) from roost.posts", database))


def check(postgres, database, conf):
    assert postgres.psql("select count(*), count(distinct id) from roost.posts", database) == f"{TWEETS}\t{TWEETS}"
    assert postgres.psql("select sum(duplicate), sum(loaded) from roost.batches", database) == f"0\t{TWEETS}"
    assert "all agrees" in roost("audit", "-c", conf)


def test_the_second_waits_and_takes_over_when_the_first_is_killed():
    postgres, database, simulator, conf = start("takeover", "--rate", "1500", "--wait")
    listen, first = Process("listen", "listen", "-c", conf), Process("first", "etl", "-c", conf)
    wait_until("the first rows", lambda: rows(postgres, database) > 0, alive=[simulator, listen, first])
    second = Process("second", "etl", "-c", conf)
    wait_until("the second to wait", lambda: "is connected already" in second.log(), alive=[simulator, listen, first, second])
    goal = rows(postgres, database) + 500
    wait_until("the first to go on", lambda: rows(postgres, database) >= goal, alive=[simulator, listen, first, second])
    assert "reading spool" not in second.log(), "the second reads nothing while the first works"
    first.kill()
    wait_until("all rows", lambda: rows(postgres, database) >= TWEETS, alive=[simulator, listen, second])
    wait_until("the second to read", lambda: "reading spool" in second.log(), alive=[simulator, listen, second])
    second.stop()
    listen.stop()
    check(postgres, database, conf)


def test_a_successor_waits_for_the_commit_of_a_killed_one():
    """The first is killed while the server holds its COMMIT back (it waits for a standby that is not there): done, but nobody sees it."""
    postgres, database, simulator, conf = start("commit", "--rate", "1500", "--wait")
    listen, first = Process("listen", "listen", "-c", conf), Process("first", "etl", "-c", conf)
    wait_until("the first rows", lambda: rows(postgres, database) > 0, alive=[simulator, listen, first])
    postgres.psql("alter system set synchronous_standby_names = 'nobody'")
    postgres.psql("select pg_reload_conf()")
    waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
    wait_until("a commit to wait", lambda: postgres.psql(waiting) == "1", alive=[simulator, listen, first])
    first.kill()
    second = Process("second", "etl", "-c", conf)
    wait_until("the second to see whose turn it is", lambda: "is at work in another session" in second.log(), alive=[simulator, listen, second])
    assert postgres.psql(waiting) == "1" and "reading spool" not in second.log()
    postgres.psql("alter system reset synchronous_standby_names")
    postgres.psql("select pg_reload_conf()")
    wait_until("all rows", lambda: rows(postgres, database) >= TWEETS, alive=[simulator, listen, second])
    assert second.log().count("is at work in another session") == 1, "said once"
    second.stop()
    listen.stop()
    check(postgres, database, conf)


def test_two_etl_with_two_bridges_share_the_tables_one_after_the_other():
    """Each bridge would let one of them in; the tables take one, and the other one's bridge gets its turn too."""
    postgres, database, simulator, conf = start("bridges", "--rate", "500", "--wait")
    listen = Process("listen", "listen", "-c", conf)
    # A server of its own: two listeners with one account would put each other out.
    other_simulator = Simulator("--rate", "50", "--loop", "--no-filter")
    other = write_configuration("bridges2", other_simulator.url, database, postgres)
    other_listen = Process("other-listen", "listen", "-c", other)
    first = Process("first", "etl", "-c", conf)
    recorded_rows = lambda: int(postgres.psql("select coalesce(sum(loaded), 0) from roost.batches where spool = "
                                              f"'{(conf.parent / 'spool/identity').read_text().strip()}'", database))
    wait_until("the first rows", lambda: rows(postgres, database) > 0, alive=[simulator, listen, first])
    second = Process("second", "etl", "-c", other)
    wait_until("the second to wait", lambda: "is at work in another session" in second.log(), alive=[simulator, listen, other_listen, first, second])
    spools = "select count(distinct spool) from roost.batches"
    goal = rows(postgres, database) + 100
    wait_until("the first to go on", lambda: rows(postgres, database) >= goal, alive=[simulator, listen, first, second])
    assert postgres.psql(spools, database) == "1", "the second writes nothing"
    first.kill()
    wait_until("the second to write", lambda: postgres.psql(spools, database) == "2", alive=[other_listen, second])
    first = Process("first", "etl", "-c", conf)
    wait_until("the first to wait", lambda: "is at work in another session" in first.log(), alive=[second, first])
    second.stop()
    wait_until("all rows", lambda: recorded_rows() >= TWEETS, alive=[listen, first])
    first.stop()
    for process in (listen, other_listen):
        process.stop()
    assert recorded_rows() == TWEETS
    assert postgres.psql("select count(*) - count(distinct id) from roost.posts", database) == "0"
    simulator.stop()
    other_simulator.stop()


def test_an_etl_whose_position_another_one_moved_writes_nothing_more():
    """The bridge lets the second in when it takes the first for dead; then the tables themselves must refuse one of them."""
    postgres, database, simulator, conf = start("fenced", "--rate", "1500", "--wait")
    listen, first = Process("listen", "listen", "-c", conf), Process("first", "etl", "-c", conf)
    wait_until("the first rows", lambda: rows(postgres, database) > 0, alive=[simulator, listen, first])
    # As another etl of this name would: the position moves, and a batch accounts for it.
    postgres.psql("begin; with moved as (update roost.progress set sequence = sequence + 1 returning consumer, spool, sequence) "
                  "insert into roost.batches (consumer, spool, first_sequence, last_sequence, received, loaded, duplicate, filtered, rejected, "
                  "events, batch_time, started_at, finished_at) select consumer, spool, sequence, sequence, 1, 0, 1, 0, 0, 0, now(), now(), now() "
                  "from moved; commit", database)
    first.end(1)
    assert "another roost etl with this name is at work" in first.log(), first.log()
    second = Process("second", "etl", "-c", conf)
    wait_until("the rest of the rows", lambda: rows(postgres, database) >= TWEETS - 1, alive=[simulator, listen, second])
    second.stop()
    listen.stop()
    assert rows(postgres, database) == TWEETS - 1, "the frame that the other one took is not written by us"
    assert "frame" in roost("audit", "-c", conf, expected=1), "and the audit sees that the other one did not write it either"


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
