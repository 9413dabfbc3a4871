#!/usr/bin/env python3
"""A spool wiped or put back from an older copy, a database put back from one: a gap row says so, nothing is written twice, and on it goes."""
import atexit
import functools
import re
import shutil
import subprocess
import sys

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration


@functools.cache
def cluster():
    """One for all tests: each has its database in it."""
    return Postgres()


class Stage:
    def __init__(self, name, *arguments, **options):
        self.postgres = cluster()
        self.database = self.postgres.create()
        self.simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--loop", *arguments)
        self.conf = write_configuration(name, self.simulator.url, self.database, self.postgres, **options)
        self.spool = self.conf.parent / "spool"
        roost("migrate", "-c", self.conf)
        self.start_listen()
        self.start_etl()

    def start_listen(self):
        self.listen = Process("listen", "listen", "-c", self.conf)
        wait_until("the bridge", lambda: "listening on" in self.listen.log(), alive=[self.listen])

    def start_etl(self):
        self.etl = Process("etl", "etl", "-c", self.conf)

    def number(self, statement):
        return int(self.postgres.psql(statement, self.database, check=False) or 0)

    def received(self):
        """Frames taken from the spool that is there now."""
        identity = (self.spool / "identity").read_text().strip()
        return self.number(f"select coalesce(sum(received), 0) from roost.batches where spool = '{identity}'")

    def go_on(self, frames=300):
        goal = self.received() + frames
        wait_until("frames", lambda: self.received() >= goal, alive=[self.simulator, self.listen, self.etl])

    def last(self):
        return int(re.search(r"^last +(\d+)$", roost("spool", self.spool), re.M)[1])

    def lost(self):
        return self.postgres.rows("select source, cause, detail, undelivered from roost.gaps where cause = 'spool'", self.database)

    def finish(self):
        """All that the spool holds is loaded; each post is there once with its text."""
        self.listen.stop()
        last = self.last()
        identity = (self.spool / "identity").read_text().strip()
        self.etl.stop()
        self.simulator.stop()
        self.start_listen()  # its source finds nobody; the etl gets what is left
        self.start_etl()
        wait_until("the rest", lambda: self.number(f"select sequence from roost.progress where spool = '{identity}'") >= last,
                   alive=[self.listen, self.etl])
        wait_until("the etl to be connected", lambda: "reading spool" in self.etl.log(), alive=[self.listen, self.etl])
        self.etl.stop()
        self.listen.stop()
        texts = {t["id_str"]: reading.full_text(t) for t in reading.read_lines(recorded("tweets-v1.1.ndjson"))}
        found = self.postgres.rows("select id, text from roost.posts", self.database)
        assert len({r["id"] for r in found}) == len(found) > 0, "none twice"
        assert all(texts[r["id"]] == r["text"] for r in found), "all texts are exact"
        twice = self.number("select count(*) - count(distinct (source, started_at, ended_at, cause, detail)) from roost.gaps")
        assert twice == 0, f"{twice} gaps are told twice"
        return {r["id"] for r in found}


def test_an_older_copy_of_the_spool_is_noticed_and_takes_a_new_identity():
    # The network begins when the etl is there: a copy that has grown to where the etl was would be taken for what it had been.
    stage = Stage("older", "--rate", "500", "--wait", bridge="start = on_client")
    stage.go_on()
    stage.listen.stop()
    shutil.copytree(stage.spool, stage.conf.parent / "copy", ignore=shutil.ignore_patterns("*.status"))
    copied = stage.last()
    old = (stage.spool / "identity").read_text()
    stage.start_listen()
    wait_until("the etl to be further than the copy", lambda: stage.number("select sequence from roost.progress") > copied + 100,
               alive=[stage.simulator, stage.listen, stage.etl])
    stage.listen.stop()
    wait_until("the etl to be alone", lambda: "no bridge" in stage.etl.log(), alive=[stage.etl])
    shutil.rmtree(stage.spool)
    shutil.move(stage.conf.parent / "copy", stage.spool)
    stage.start_listen()
    wait_until("the consumer ahead to be noticed", lambda: "was wiped or restored" in stage.listen.log(), alive=[stage.listen, stage.etl])
    assert (stage.spool / "identity").read_text() != old
    stage.go_on()
    wait_until("the gap", stage.lost, alive=[stage.listen, stage.etl])
    lost = stage.lost()
    assert len(lost) == 1 and old.strip() in lost[0]["detail"], lost
    stage.finish()
    assert len(stage.lost()) == 1, "told once"
    assert "all agrees" in roost("audit", "-c", stage.conf)


def test_segments_that_are_gone_give_a_new_identity_and_a_gap():
    stage = Stage("segments", "--rate", "500", "--wait")
    stage.go_on()
    stage.etl.stop()  # it is not there to say how far it was
    stage.listen.stop()
    old = (stage.spool / "identity").read_text()
    for name in list(stage.spool.glob("segment-*")) + [stage.spool / "consumers"]:
        name.unlink()
    stage.start_listen()
    assert "was wiped or restored" in stage.listen.log() and (stage.spool / "identity").read_text() != old
    stage.start_etl()
    stage.go_on()
    wait_until("the gap", stage.lost, alive=[stage.listen, stage.etl])
    stage.finish()
    assert len(stage.lost()) == 1, stage.lost()
    assert "all agrees" in roost("audit", "-c", stage.conf)


def test_a_wiped_spool_is_noticed_by_the_etl_that_knew_it():
    stage = Stage("wiped", "--rate", "500", "--wait")
    stage.go_on()
    # Frames that the etl cannot write: the database is away while the spool fills, and then the spool goes.
    stage.postgres.run("kill")
    goal = stage.last() + 200
    wait_until("more frames", lambda: stage.last() > goal, alive=[stage.simulator, stage.listen, stage.etl])
    stage.listen.kill()
    old = (stage.spool / "identity").read_text().strip()
    shutil.rmtree(stage.spool)
    stage.start_listen()
    new = (stage.spool / "identity").read_text().strip()
    assert new != old
    stage.postgres.run("up")
    stage.go_on()
    wait_until("the gap", stage.lost, alive=[stage.listen, stage.etl])
    lost = stage.lost()
    assert len(lost) == 1 and old in lost[0]["detail"] and new in lost[0]["detail"] and lost[0]["source"] == "", lost
    assert lost[0]["undelivered"] is None, "nobody knows how many"
    # Told once, whoever is started again.
    stage.etl.stop()
    stage.start_etl()
    stage.go_on(100)
    stage.listen.stop()
    stage.start_listen()
    stage.go_on(100)
    stage.finish()
    assert stage.lost() == lost
    assert "all agrees" in roost("audit", "-c", stage.conf)


class Holding:
    """Nobody commits a position while this is open; asking for one works."""

    def __init__(self, stage):
        self.child = subprocess.Popen(["psql", "-X", "-q", "-At", f"{stage.postgres.conninfo} dbname={stage.database}"], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(self.child.kill)
        self.child.stdin.write("begin; lock table roost.progress in exclusive mode; select 'held';\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "held\n"

    def end(self):
        self.child.communicate("rollback;\n", support.PATIENCE)


def events(stage):
    return stage.number("select count(*) from roost.events where kind = 'gap' and body->>'cause' = 'spool'")


def test_a_spool_wiped_while_both_are_down_is_noticed_by_the_etl_that_is_started_anew():
    stage = Stage("down", "--rate", "500", "--wait")
    stage.go_on()
    stage.etl.stop()
    goal = stage.last() + 100
    wait_until("frames that nobody reads", lambda: stage.last() > goal, alive=[stage.simulator, stage.listen])
    stage.listen.stop()
    old = (stage.spool / "identity").read_text().strip()
    position = stage.number("select sequence from roost.progress")
    shutil.rmtree(stage.spool)
    stage.start_listen()
    new = (stage.spool / "identity").read_text().strip()
    # It says so at each start, whoever is killed, until something of the new spool is committed.
    holding = Holding(stage)
    stage.start_etl()
    wait_until("the etl to say so", lambda: f"up to frame {position} before" in stage.listen.log(), alive=[stage.listen, stage.etl])
    stage.etl.kill()
    stage.start_etl()
    wait_until("the next one to be connected", lambda: "reading spool" in stage.etl.log(), alive=[stage.listen, stage.etl])
    stage.etl.kill()
    stage.listen.kill()
    stage.start_listen()
    stage.start_etl()
    wait_until("the third one to be connected", lambda: "reading spool" in stage.etl.log(), alive=[stage.listen, stage.etl])
    assert f"spool {old} was read up to frame {position} before" in stage.etl.log(), "it cannot know that it was told"
    holding.end()
    stage.go_on()
    wait_until("the gap", stage.lost, alive=[stage.listen, stage.etl])
    stage.finish()
    lost = stage.lost()
    assert len(lost) == 1 == events(stage), (lost, events(stage))
    assert f"consumer etl read spool {old} up to frame {position} before" in lost[0]["detail"] and new in lost[0]["detail"], lost
    assert lost[0]["source"] == "" and lost[0]["undelivered"] is None, lost
    assert "all agrees" in roost("audit", "-c", stage.conf)


def test_an_older_copy_without_its_identity_gets_a_gap_although_it_has_grown_past_the_etl():
    stage = Stage("grown", "--rate", "500", "--wait")
    stage.go_on()
    stage.listen.stop()
    shutil.copytree(stage.spool, stage.conf.parent / "copy", ignore=shutil.ignore_patterns("*.status"))
    stage.start_listen()
    stage.go_on(100)
    stage.etl.stop()
    stage.listen.stop()
    old = (stage.spool / "identity").read_text().strip()
    position = stage.number("select sequence from roost.progress")
    shutil.rmtree(stage.spool)
    shutil.move(stage.conf.parent / "copy", stage.spool)
    (stage.spool / "identity").unlink()  # as docs/spool.md says
    stage.start_listen()
    assert "had lost its identity" in stage.listen.log()
    wait_until("the copy to be longer than what was", lambda: stage.last() > position + 50, alive=[stage.simulator, stage.listen])
    stage.start_etl()
    stage.go_on()
    wait_until("the gaps", lambda: len(stage.lost()) >= 2, alive=[stage.listen, stage.etl])
    stage.finish()
    told = sorted(row["detail"] for row in stage.lost())
    assert len(told) == 2 and f"consumer etl read spool {old} up to frame {position} before" in told[0] and "had lost its identity" in told[1], told
    assert "all agrees" in roost("audit", "-c", stage.conf)


def test_an_older_database_gets_a_gap_for_what_the_spool_no_longer_keeps():
    stage = Stage("database", "--rate", "2500", "--wait", bridge="spool_max = 16MiB")
    stage.go_on()
    stage.etl.stop()
    stage.postgres.psql(f"create database older template {stage.database}")
    before = int(stage.postgres.psql("select sequence from roost.progress", "older"))
    stage.start_etl()
    wait_until("segments to go", lambda: int(re.search(r"^first +(\d+)$", roost("spool", stage.spool), re.M)[1]) > before + 1,
               alive=[stage.listen, stage.etl])
    stage.etl.stop()
    stage.postgres.psql(f"drop database {stage.database}")
    stage.postgres.psql(f"alter database older rename to {stage.database}")
    stage.start_etl()
    wait_until("the gap", stage.lost, alive=[stage.listen, stage.etl])
    row = stage.lost()[0]
    assert "consumer etl" in row["detail"] and f"frames {before + 1} to {before + row['undelivered']}" in row["detail"], (before, row)
    stage.go_on()
    stage.finish()
    assert len(stage.lost()) == 1, "told once"
    assert "all agrees" in roost("audit", "-c", stage.conf)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
