#!/usr/bin/env python3
"""Months go by (the tests' clock): they are made ahead and removed when they are older than keep, and no batch waits for either."""
import datetime
import sys

import support
from support import Postgres, Process, Simulator, TestClock, roost, wait_until, write_configuration

DAY = 24 * 3600 * 1000


class Stage:
    """Simulator, listener and etl under one clock, with months that pass."""

    def __init__(self, name, speed, rate, sink="keep = 60d\n"):
        self.clock = TestClock(speed=speed)
        self.postgres = Postgres()
        self.database = self.postgres.create()
        self.simulator = Simulator("--no-filter", "--fresh-ids", "--loop", "--rate", rate)
        self.conf = write_configuration(name, self.simulator.url, self.database, self.postgres)
        self.conf.write_text(self.conf.read_text().rstrip() + "\n" + sink)
        roost("migrate", "-c", self.conf)
        self.listen = Process("listen", "listen", "-c", self.conf)
        self.start_etl()

    def start_etl(self):
        self.etl = Process("etl", "etl", "-c", self.conf)

    def ask(self, statement):
        return self.postgres.psql(statement, self.database)

    def number(self, statement):
        return int(self.ask(statement))

    def wait(self, what, condition):
        return wait_until(what, condition, alive=[self.simulator, self.listen, self.etl])

    def month(self, later=0):
        """The name of the month's table by the tests' clock, `later` months later."""
        now = datetime.datetime.fromtimestamp(self.clock.now(), datetime.timezone.utc)
        months = now.year * 12 + now.month - 1 + later
        return f"posts_{months // 12}_{months % 12 + 1:02d}"

    def months(self):
        return self.ask("select relname from pg_inherits join pg_class on pg_class.oid = inhrelid where inhparent = 'roost.posts'::regclass"
                        " and relname <> 'posts_default' order by 1").split("\n")

    def rows(self, table):
        return self.number(f"select count(*) from roost.{table}") if table in self.months() else 0

    def stop(self):
        for process in (self.listen, self.etl, self.simulator):
            process.stop()
        self.clock.close()


def test_half_a_year_passes_and_sixty_days_stay():
    stage = Stage("months", 100, 1)
    began = stage.month()
    for passed in range(1, 7):
        stage.wait("rows of the month", lambda: stage.rows(stage.month()) > 20)
        stage.etl.stop()
        stage.clock.jump(31 * DAY)
        stage.start_etl()
        stage.wait("the next month to be made", lambda: stage.month(1) in stage.months())
        oldest = datetime.datetime.fromtimestamp(stage.clock.now() - 60 * 86400, datetime.timezone.utc)
        kept = f"posts_{oldest.year}_{oldest.month:02d}"
        stage.wait("older months to go", lambda: stage.months()[0] >= min(kept, stage.month()))
        assert "all agrees" in roost("audit", "-c", stage.conf), f"after {passed} months"
    stage.wait("rows of the month", lambda: stage.rows(stage.month()) > 20)
    assert began not in stage.months() and stage.number("select count(*) from roost.posts_default") == 0
    assert stage.number("select count(*) from pg_class where relname like '%expired%'") == 0
    assert f"the posts of {began[6:10]}-{began[11:]} are older than keep and were removed" in "".join(
        p.read_text() for p in support.folder().glob("etl-*.log"))
    assert stage.number("select count(*) from roost.batches where batch_time < (select batches_before from roost.retention)") <= 1
    stage.listen.stop()
    end = next(line[11:] for line in roost("spool", stage.conf.parent / "spool").splitlines() if line.startswith("last "))
    wait_until("all", lambda: stage.ask("select sequence from roost.progress") == end, alive=[stage.etl])
    assert "all agrees" in roost("audit", "-c", stage.conf)
    stage.etl.stop()
    stage.simulator.stop()
    stage.clock.close()


def test_the_month_turns_under_load_and_every_post_finds_its_partition():
    stage = Stage("turn", 200, 1, sink="")
    now = datetime.datetime.fromtimestamp(stage.clock.now(), datetime.timezone.utc)
    turn = datetime.datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=datetime.timezone.utc)
    stage.wait("rows", lambda: stage.number("select count(*) from roost.posts") > 100)
    stage.clock.jump(int((turn.timestamp() - stage.clock.now() - 300) * 1000))
    before, after = stage.month(), stage.month(1)
    stage.wait("rows before the turn", lambda: stage.rows(before) > 120)
    stage.wait("rows after it", lambda: stage.rows(after) > 300)
    stage.wait("the month after that to be made ahead", lambda: stage.month(1) in stage.months() and stage.month(1) > after)
    assert stage.number("select count(*) from roost.posts_default") == 0
    assert "cannot be made" not in stage.etl.log() and "away" not in stage.etl.log()
    stage.stop()


def test_a_reader_of_all_months_keeps_them_and_the_batches_go_on():
    stage = Stage("reader", 100, 1)
    stage.wait("rows", lambda: stage.number("select count(*) from roost.posts") > 20)
    old = stage.month()
    reader = support.subprocess.Popen(["psql", "-X", "-q", "-At", f"{stage.postgres.conninfo} dbname={stage.database}"], text=True,
                                      stdin=support.subprocess.PIPE, stdout=support.subprocess.PIPE)
    reader.stdin.write("begin; select count(*) > 0 from roost.posts;\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "t\n"
    stage.etl.stop()
    stage.clock.jump(100 * DAY)
    stage.start_etl()
    stage.wait("the removal to be put off", lambda: "cannot be removed now, and is tried again" in stage.etl.log())
    goal = stage.number("select count(*) from roost.batches") + 10
    stage.wait("batches", lambda: stage.number("select count(*) from roost.batches") > goal)
    assert old in stage.months() and stage.rows(old) > 20
    reader.stdin.close()
    reader.wait(20)
    stage.wait("the month to go", lambda: old not in stage.months())
    assert "away" not in stage.etl.log(), "no batch failed"
    stage.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
