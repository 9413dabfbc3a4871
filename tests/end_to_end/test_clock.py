#!/usr/bin/env python3
"""The wall clock jumps an hour forth and back, in a stream and in every kind of outage: order, numbers, texts and the ledger's lengths stay."""
import json
import subprocess
import sys

import reading
import support
from support import Postgres, Process, Simulator, TestClock, recorded, roost, wait_until, write_configuration

HOUR = 3600 * 1000
# Between a doing and its row lie the listener's own second (it is noted as alive once a second) and a loaded machine.
NEAR = 3.0


def count(postgres, database):
    return int(postgres.psql("select count(*) from roost.posts", database))


def gaps(postgres, database):
    return postgres.rows("select cause, extract(epoch from ended_at - started_at)::float8 as length"
                         " from roost.gaps where cause <> 'limit' order by ctid", database)


def counts(postgres, database):
    """The lengths of what was heard, in seconds."""
    return [r["length"] for r in postgres.rows("select extract(epoch from (body->>'to')::timestamptz - (body->>'from')::timestamptz)::float8 as length"
                                               " from roost.events where kind = 'count'", database)]


class Stage:
    """Simulator, listener and etl under one clock; what was done to them, measured by the steady clock."""

    def __init__(self, name, clock, *arguments):
        self.clock = clock
        self.arguments = ("--no-filter", "--fresh-ids", *arguments)
        self.postgres = Postgres()
        self.database = self.postgres.create()
        self.simulator = Simulator(*self.arguments)
        self.simulators = [self.simulator]
        self.port = self.simulator.base.rsplit(":", 1)[1]
        self.conf = write_configuration(name, self.simulator.url, self.database, self.postgres)
        roost("migrate", "-c", self.conf)
        self.etl = Process("etl", "etl", "-c", self.conf)
        self.listens = []
        self.done = []  # (cause, seconds)
        self.start_listen()
        self.first = clock.steady()

    @property
    def listen(self):
        return self.listens[-1]

    def start_listen(self):
        self.listens.append(Process("listen", "listen", "-c", self.conf))
        wait_until("the stream", lambda: "streaming " in self.listen.log(), alive=[self.simulator, self.listen, self.etl])

    def requests(self, answer):
        return sum(s.log().count(f"-> {answer}") for s in self.simulators)

    def go_on(self, posts=50):
        goal = count(self.postgres, self.database) + posts
        wait_until("posts", lambda: count(self.postgres, self.database) >= goal, alive=[self.simulator, self.listen, self.etl])

    def lives_noted(self):
        path = self.conf.parent / "spool/sources"
        text = path.read_text() if path.exists() else ""
        alive = [json.loads(line)["alive"] for line in text.split("\n") if line]
        return '"legs":[]' in text and alive and self.clock.steady() - (alive[0]["steady"] / 1e3 - self.clock.base_us / 1e6) < 1.5

    def outage(self, cause, action, jump):
        """An action that ends the stream, a jump in the outage, and the stream is back: a gap of its true length."""
        wait_until("the ledger", self.lives_noted, alive=[self.listen])
        began = self.clock.steady()
        back = action()
        self.clock.jump(jump)
        back()
        self.done.append((cause, self.clock.steady() - began))

    def kill(self):
        self.listen.kill()
        return self.start_listen

    def stop(self):
        self.listen.stop()
        return self.start_listen

    def lose_server(self):
        self.simulator.kill()
        noted = self.conf.parent / "spool/sources"
        wait_until("the outage to be noted", lambda: '"cause":"network"' in noted.read_text(), alive=[self.listen])

        def back():
            self.simulator = Process("simulator", "simulate", "--listen", f"127.0.0.1:{self.port}", *self.arguments)
            wait_until("the simulator", lambda: "listening on http" in self.simulator.log(), alive=[self.simulator])
            self.simulators.append(self.simulator)
            wait_until("the stream", lambda: self.requests("200") == len(self.done) + 2, alive=[self.simulator, self.listen, self.etl])
        return back

    def finish(self):
        wait_until("the ledger", self.lives_noted, alive=[self.listen])
        self.listen.stop()
        last = self.clock.steady()
        end = int(next(line[11:] for line in roost("spool", self.conf.parent / "spool").splitlines() if line.startswith("last ")))
        wait_until("the etl to have all", lambda: self.postgres.psql("select sequence from roost.progress", self.database) == str(end),
                   alive=[self.etl])
        self.etl.stop()
        self.simulator.stop()
        return last - self.first


def sample(number):
    """What `roost simulate` plays when it is given no file."""
    messages = [json.loads(line) for line in roost("simulate", "--print-sample", number).splitlines() if line.startswith("{")]
    return [m for m in messages if "id_str" in m]


def check_texts_and_order(stage, tweets):
    """By the spool, which has every frame in its order, and by the tables."""
    known = {reading.full_text(tweet) for tweet in tweets}
    done = subprocess.run([support.ROOST, "spool", "--cat", str(stage.conf.parent / "spool")], stdout=subprocess.PIPE, check=True,
                          stderr=subprocess.DEVNULL, timeout=support.PATIENCE)
    frames = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    posts = [f for f in frames if f["kind"] == "post"]
    rows = {r["id"]: r["text"] for r in stage.postgres.rows("select id, text from roost.posts", stage.database)}
    assert rows == {p["id"]: p["text"] for p in posts}, "the tables have what the spool has"
    assert all(p["text"] in known for p in posts), "all texts are exact"
    received, first, last = stage.postgres.psql("select sum(received - filtered), min(first_sequence), max(last_sequence) from roost.batches",
                                                stage.database).split("\t")
    assert (int(received), first, int(last)) == (len(frames), "1", len(frames)), "no number is left out, none is used twice"
    assert "all agrees" in roost("audit", "-c", stage.conf)
    return [p["text"] for p in posts]


def test_an_hour_forth_and_back_changes_times_of_day_and_nothing_else():
    clock = TestClock()
    try:
        stage = Stage("jumps", clock, "--file", recorded("tweets-v1.1.ndjson"), "--rate", "200", "--loop")
        for hours in (1, -1, -1, 2):  # in the middle of the stream
            stage.go_on()
            clock.jump(hours * HOUR)
        stage.go_on()
        assert stage.requests("") == 1, "no jump has ended the stream"
        for cause, action, hours in (("network", stage.lose_server, 1), ("network", stage.lose_server, -2), ("killed", stage.kill, 1),
                                     ("killed", stage.kill, -1), ("stopped", stage.stop, -1)):
            stage.outage(cause, action, hours * HOUR)
            stage.go_on()
        elapsed = stage.finish()
    finally:
        clock.close()
    found = gaps(stage.postgres, stage.database)
    assert [g["cause"] for g in found] == [cause for cause, _ in stage.done], (found, stage.done)
    for gap, (cause, length) in zip(found, stage.done):
        assert gap["length"] >= 0 and abs(gap["length"] - length) < NEAR, (gap, cause, length)
    heard = counts(stage.postgres, stage.database)
    assert all(0 <= length <= elapsed for length in heard), heard
    missed = sum(g["length"] for g in found)
    assert abs(sum(heard) + missed - elapsed) < NEAR, f"{sum(heard)} s heard + {missed} s missed of {elapsed} s"
    covered, gap_seconds, least = (float(v) for v in stage.postgres.psql(
        "select sum(covered_seconds), sum(gap_seconds), least(min(covered_seconds), min(gap_seconds)) from roost.coverage where source = 'test'",
        stage.database).split("\t"))
    assert least >= 0 and covered + gap_seconds <= elapsed + NEAR, "the view has no hour of a jump"
    texts = check_texts_and_order(stage, reading.read_lines(recorded("tweets-v1.1.ndjson")))
    assert len(texts) > 400
    logs = "".join(p.log() for p in stage.listens) + stage.etl.log()
    for word in ("this machine's clock", "answered", "silen", "ERROR"):
        assert word not in logs, (word, logs[-3000:])
    assert stage.requests("") == stage.requests("200") == 1 + len(stage.done), "each outage is one new connection, and none is refused"


def test_an_idle_stream_stays_through_jumps():
    tweets = sample(300)
    clock = TestClock()
    try:
        stage = Stage("idle", clock, "--sample-count", "300", "--at-end", "hold", "--keep-alive", "1")
        wait_until("the last post", lambda: count(stage.postgres, stage.database) == len(tweets), alive=[stage.listen, stage.etl])
        for hours in (1, -1, -24, 24):
            clock.jump(hours * HOUR)
            noted = (stage.conf.parent / "spool/sources").read_text()
            wait_until("the listener's next second", lambda: (stage.conf.parent / "spool/sources").read_text() != noted and stage.lives_noted(),
                       alive=[stage.listen, stage.etl, stage.simulator])
        stage.finish()
    finally:
        clock.close()
    assert stage.requests("") == 1
    assert gaps(stage.postgres, stage.database) == []
    assert check_texts_and_order(stage, tweets) == [reading.full_text(t) for t in tweets], "in the order in which they were played"


def test_a_fast_clock_makes_minutes_pass_in_seconds_and_leaves_the_batches_their_pace():
    speed = 60
    clock = TestClock(speed)
    try:
        stage = Stage("fast", clock, "--rate", "5", "--sample-count", "300", "--loop")
        wait_until("five minutes", lambda: len(counts(stage.postgres, stage.database)) >= 5, alive=[stage.simulator, stage.listen, stage.etl])
        stage.outage("network", stage.lose_server, 0)
        elapsed = stage.finish()
    finally:
        clock.close()
    heard = counts(stage.postgres, stage.database)
    assert sum(55 < length < 75 for length in heard) >= 4, heard
    found = gaps(stage.postgres, stage.database)
    assert [g["cause"] for g in found] == ["network"], found
    near = NEAR * speed
    assert abs(found[0]["length"] - stage.done[0][1]) < near, (found, stage.done)
    assert abs(sum(heard) + found[0]["length"] - elapsed) < near, (heard, found, elapsed)
    real, batches = elapsed / speed, int(stage.postgres.psql("select count(*) from roost.batches", stage.database))
    assert batches <= (real + NEAR) / 0.2, f"{batches} batches in {real} s"
    check_texts_and_order(stage, sample(300))


def test_what_is_no_test_clock_is_refused():
    path = support.folder() / "no-clock"
    path.write_text("12:00")
    output = roost("spool", support.folder(), expected=2, environment={"ROOST_TEST_CLOCK": str(path)})
    assert "ROOST_TEST_CLOCK" in output and "5 bytes" in output, output


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
