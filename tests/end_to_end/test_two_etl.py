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
    running = [second]

    def all_rows():
        # A commit of the first that was still under way when the second asked for the position makes that one end with 1, and be
        # started again.
        if running[-1].poll() == 1:
            running.append(Process("second", "etl", "-c", conf))
        return rows(postgres, database) >= TWEETS

    wait_until("all rows", all_rows, alive=[simulator, listen])
    assert "reading spool" in running[-1].log()
    running[-1].stop()
    listen.stop()
    check(postgres, database, conf)


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
