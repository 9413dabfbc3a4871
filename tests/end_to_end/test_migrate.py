#!/usr/bin/env python3
"""`roost migrate`, as it runs before each start of the service: it waits for the database, is quiet where nothing is to do, and stops nobody."""
import signal
import subprocess
import sys
import time

import support
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until, write_configuration

TWEETS = 3000
# The tables as the roost before this one left them: what version 5 added is taken away.
BACK_TO_4 = ("drop table roost.retention; alter table roost.batches drop column expired; delete from roost.schema_version where version = 5")
_postgres = None


def postgres():
    global _postgres
    _postgres = _postgres or Postgres()
    return _postgres


def configuration(name, database):
    return write_configuration(name, "http://127.0.0.1:9/", database, postgres())


def version(database):
    return postgres().psql("select max(version) from roost.schema_version", database)


def test_nothing_to_do_is_quiet():
    database = postgres().create()
    conf = configuration("quiet", database)
    assert "the tables are now of version" in roost("migrate", "-c", conf)
    assert roost("migrate", "-c", conf) == ""
    lock = "select pg_advisory_lock(491495846772)"  # another one at work, for long: nothing to do needs no turn
    other = subprocess.Popen(["psql", "-X", "-q", f"{postgres().conninfo} dbname={database}", "-c", f"begin; {lock}; select pg_sleep(600)"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until("the lock", lambda: postgres().psql("select count(*) from pg_locks where locktype = 'advisory'", database) == "1")
    assert roost("migrate", "-c", conf) == ""
    postgres().psql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'", database)
    other.wait(20)


def test_a_database_that_comes_is_waited_for_and_one_that_does_not_ends_with_1():
    own = Postgres()
    database = own.create()
    conf = write_configuration("away", "http://127.0.0.1:9/", database, own)
    own.run("kill")
    began = time.monotonic()
    output = roost("migrate", "-c", conf, "--wait", "1", expected=1)
    assert 1 <= time.monotonic() - began and output.count("trying again") == 1, output
    roost("migrate", "-c", conf, "--wait", "0", expected=1)
    waiting = Process("migrate", "migrate", "-c", conf, "--wait", str(int(support.PATIENCE)))
    wait_until("it to wait", lambda: "trying again" in waiting.log(), alive=[waiting])
    own.run("up")
    waiting.end(0)
    assert own.psql("select count(*) > 0 from roost.schema_version", database) == "t"
    own.remove()


def test_what_no_waiting_helps_ends_with_2_at_once():
    database = postgres().create()
    conf = configuration("wrong", database)
    text = conf.read_text()
    for what in (f"dbname={database}x", f"dbname={database} user=nobody_knows"):
        conf.write_text(text.replace(f"dbname={database}", what))
        output = roost("migrate", "-c", conf, "--wait", "600", expected=2)
        assert "trying again" not in output, output
    conf.write_text(text)
    for wrong in (("--wait", "x"), ("--wait", "-1"), ("--wait",), ("--what",), ("more",)):
        assert "usage: roost migrate" in roost("migrate", "-c", conf, *wrong, expected=2)
    roost("migrate", "-c", conf)
    postgres().psql("insert into roost.schema_version values (99, 'later', '9.0')", database)
    assert "newer" in roost("migrate", "-c", conf, expected=2) or "older than the one" in roost("migrate", "-c", conf, expected=2)


def test_four_at_once_make_the_tables_once():
    database = postgres().create()
    conf = configuration("four", database)
    running = [Process(f"four{i}", "migrate", "-c", conf) for i in range(4)]
    for process in running:
        process.end(0)
    assert sum(p.log().count("the tables are now of version 1 ") for p in running) == 1
    assert postgres().psql("select count(*) = max(version) from roost.schema_version", database) == "t"


def test_a_stop_while_it_waits_leaves_nothing():
    database = postgres().create()
    conf = configuration("stop", database)
    roost("migrate", "-c", conf)
    postgres().psql(BACK_TO_4, database)
    with Reader(database, "select 1 from roost.batches") as reader:
        waiting = Process("migrate", "migrate", "-c", conf, "--wait", "600")
        wait_until("it to wait", lambda: "trying again" in waiting.log(), alive=[waiting])
        waiting.child.send_signal(signal.SIGTERM)
        waiting.child.wait(support.PATIENCE)
        assert reader.poll() is None
    assert version(database) == "4"
    wait_until("its session to end", lambda: postgres().psql("select count(*) from pg_locks where locktype = 'advisory'", database) == "0")
    roost("migrate", "-c", conf)
    assert version(database) == "5"


class Reader:
    """A session that has read a table and does not end its transaction."""

    def __init__(self, database, statement):
        self.command = ["psql", "-X", "-q", "-At", f"{postgres().conninfo} dbname={database}"]
        self.statement = statement

    def __enter__(self):
        self.child = subprocess.Popen(self.command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.child.stdin.write(f"begin; {self.statement} limit 1; select 'has read';\n")
        self.child.stdin.flush()
        while self.child.stdout.readline() != "has read\n":
            assert self.child.poll() is None
        return self.child

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.wait(20)


def test_a_migration_beside_a_working_etl_of_the_version_before_loses_no_batch():
    database = postgres().create()
    lines = recorded("tweets-v1.1.ndjson").read_bytes().split(b"\n")[:TWEETS]
    path = folder() / "migrate.ndjson"
    path.write_bytes(b"".join(line + b"\r\n" for line in lines))
    simulator = Simulator("--file", path, "--no-filter", "--rate", "300", "--wait")
    conf = write_configuration("load", simulator.url, database, postgres())
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    running = [simulator, listen, etl]

    def batches():
        return int(postgres().psql("select count(*) from roost.batches", database))

    wait_until("batches", lambda: batches() > 2, alive=running)
    postgres().psql(BACK_TO_4, database)
    with Reader(database, "select 1 from roost.batches"):
        migrate = Process("migrate", "migrate", "-c", conf, "--wait", str(int(support.PATIENCE)))
        wait_until("it to find the table locked", lambda: "trying again" in migrate.log(), alive=[*running, migrate])
        goal = batches() + 3
        wait_until("batches beside it", lambda: batches() >= goal, alive=[*running, migrate])
        assert version(database) == "4"
    migrate.end(0)
    assert version(database) == "5" and "now of version 5 (retention)" in migrate.log()
    goal = batches() + 3
    wait_until("batches of the older etl after it", lambda: batches() >= goal, alive=running)
    wait_until("all rows", lambda: int(postgres().psql("select count(*) from roost.posts", database)) >= TWEETS, alive=running)
    assert "away" not in etl.log(), etl.log()
    for process in reversed(running):
        process.stop()
    assert postgres().psql("select count(*), count(distinct id) from roost.posts", database) == f"{TWEETS}\t{TWEETS}"
    assert "all agrees" in roost("audit", "-c", conf)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
