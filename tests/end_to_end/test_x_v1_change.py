#!/usr/bin/env python3
"""SIGHUP on v1.1: the new stream is opened beside the old one; under load, refused, in a row, without a change, with a kill in the middle."""
import functools
import json
import os
import re
import signal
import sys
import time

import support
from live_v2 import in_spool
from support import Postgres, Process, Simulator, folder, roost, wait_until, write_configuration

LONG = os.environ.get("ROOST_LONG") == "1"
RATE = 1000
COUNT = RATE * 60  # more than a slow machine needs; a test stops when it has seen enough
ENOUGH = RATE * (10 if LONG else 1)  # posts of the changed list
QUICK = "change_interval = 1s"


def tweet(number):
    """Every second one is about what stays, the others about what goes or comes."""
    word = ("stays", "old", "stays", "new")[number % 4]
    return {"id_str": str(10**18 + (number << 22)), "text": f"post {number} that {word}", "user": {"id_str": "7"}, "lang": "en"}


def hang_up(listener, conf, before, after):
    text = conf.read_text()
    assert before in text
    conf.write_text(text.replace(before, after))
    listener.child.send_signal(signal.SIGHUP)


def streams(listener, simulator, times=1):
    wait_until("the stream", lambda: listener.log().count("streaming from") >= times, alive=[listener, simulator])


def play(name, *arguments):
    """A simulator that goes on at its rate whether or not anybody listens: what is not heard is lost."""
    path = folder() / f"{name}.ndjson"
    path.write_text("".join(json.dumps(tweet(number)) + "\n" for number in range(COUNT)))
    return Simulator("--file", path, "--recorded-ids", "--rate", RATE, "--wait", "--at-end", "hold", "--keep-alive", "0.5", *arguments)


def numbers(conf):
    got = {word: [] for word in ("stays", "old", "new")}
    for post in in_spool(conf).values():
        _, number, _, word = post["text"].split()
        got[word].append(int(number))
    return {word: sorted(found) for word, found in got.items()}


def without_hole(found, step):
    return len(found) > 10 and found == list(range(found[0], found[-1] + 1, step))


def heard_enough(conf, listener, simulator):
    wait_until("posts by the new list", lambda: len(numbers(conf)["new"]) > ENOUGH / 4, alive=[listener, simulator])
    listener.stop()
    simulator.stop()
    return numbers(conf)


def reloads(conf):
    events = [json.loads(line) for line in roost("spool", "--cat", conf.parent / "spool").split("\n") if line]
    return [e["body"] for e in events if e["kind"] == "gap" and e["body"]["cause"] != "limit"]


def test_a_keyword_change_at_1000_a_second_loses_nothing_of_the_others():
    simulator = play("load")
    conf = write_configuration("load", simulator.url, keywords="stays, old", source=QUICK)
    listener = Process("listen", "listen", "-c", conf)
    streams(listener, simulator)
    wait_until("posts by the old list", lambda: len(in_spool(conf)) > RATE, alive=[listener, simulator])
    hang_up(listener, conf, "stays, old", "stays, new")
    streams(listener, simulator, 2)
    got = heard_enough(conf, listener, simulator)
    assert without_hole(got["stays"], 2), "tweets of the keyword that stays are missing"
    assert without_hole(got["old"], 4) and without_hole(got["new"], 4)
    assert got["new"][0] - got["old"][-1] <= 6, "the one begins where the other ends"
    assert simulator.log().count("-> 200") == 2, simulator.log()
    gaps = reloads(conf)
    assert [g["cause"] for g in gaps] == ["reload"], gaps
    frames = [json.loads(line) for line in roost("spool", "--cat", conf.parent / "spool").split("\n") if line]
    ids = [f["id"] for f in frames if f["kind"] == "post"]
    assert len(ids) == len(set(ids)), "none twice"


def test_a_refused_change_keeps_the_old_stream_and_is_replaced_by_the_next():
    faults = folder() / "refusal"
    faults.write_text("connection 2 status code=406 times=1 open=keep\n")
    simulator = play("refused", "--faults", faults)
    conf = write_configuration("refused", simulator.url, keywords="stays, old", source=QUICK)
    listener = Process("listen", "listen", "-c", conf)
    streams(listener, simulator)
    hang_up(listener, conf, "stays, old", "stays, bad")
    wait_until("the refusal", lambda: "the old stream, and what it asks for, stay in force" in listener.log(), alive=[listener, simulator])
    assert "answered 406" in listener.log() and "a parameter is not accepted" in listener.log(), listener.log()
    hang_up(listener, conf, "stays, bad", "stays, new")  # not before 5 s: a request that was refused is not repeated sooner
    got = heard_enough(conf, listener, simulator)
    assert without_hole(got["stays"], 2), "tweets of the keyword that stays are missing"
    times = [int(t) for t in re.findall(r"-> (?:406|200).* wall_ms=(\d+)", simulator.log())]
    assert len(times) == 3 and times[2] - times[1] >= 4900, simulator.log()
    assert [g["cause"] for g in reloads(conf)] == ["reload"]


def test_hang_ups_in_a_row_are_one_connection_and_one_without_a_change_is_none():
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("row", simulator.url, keywords="coffee", source="change_interval = 6s")
    listener = Process("listen", "listen", "-c", conf)
    streams(listener, simulator)
    conf.write_text(conf.read_text().replace("keywords = coffee", "# a comment\nkeywords = coffee"))
    listener.child.send_signal(signal.SIGHUP)
    wait_until("it to be read", lambda: "no source has to begin anew" in listener.log(), alive=[listener])
    for before, after, told in (("coffee", "tea", 2), ("tea", "music", 3), ("music", "football", 4)):
        hang_up(listener, conf, before, after)
        wait_until("it to be read", lambda: listener.log().count("no source has to begin anew") == told, alive=[listener])
    streams(listener, simulator, 2)
    wait_until("posts of the last list", lambda: any(p.get("keywords") == ["football"] for p in in_spool(conf).values()), alive=[listener])
    listener.stop()
    simulator.stop()
    assert simulator.log().count("-> 200") == 2, simulator.log()
    assert [g["cause"] for g in reloads(conf)] == ["reload"], "what did not change is no gap"
    versions = re.findall(r"keywords: version (\w+)", listener.log())
    assert len(versions) == 2, listener.log()


@functools.cache
def cluster():
    """One for all tests: each has its database in it."""
    return Postgres()


def gaps(postgres, database):
    return postgres.rows("select cause, extract(epoch from started_at)::float8 as began, extract(epoch from ended_at)::float8 as ended "
                         "from roost.gaps where cause <> 'limit' order by started_at, ended_at", database)


def kill_in_the_middle(name, script, expected):
    postgres = cluster()
    database = postgres.create()
    faults = folder() / f"{name}-faults"
    faults.write_text(script)
    simulator = Simulator("--rate", "100", "--loop", "--faults", faults)
    conf = write_configuration(name, simulator.url, database, postgres, keywords="coffee, music", source=QUICK)
    roost("migrate", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    listener = Process("listen", "listen", "-c", conf)
    streams(listener, simulator)
    first = time.time()
    hang_up(listener, conf, "coffee, music", "coffee, football")
    wait_until("the new stream to be asked for", lambda: "fault line 1" in simulator.log(), alive=[listener, simulator])
    note = (conf.parent / "spool/sources").read_text()
    wait_until("a later sign of life", lambda: (conf.parent / "spool/sources").read_text() != note, alive=[listener])
    listener.kill()
    listener = Process("listen", "listen", "-c", conf)
    streams(listener, simulator)
    rows = wait_until("the rows", lambda: gaps(postgres, database), alive=[etl, listener])
    back = time.time()
    assert [r["cause"] for r in rows] == expected, rows
    for before, after in zip(rows, rows[1:]):
        assert before["ended"] == after["began"], "rows of one outage touch"
    assert rows[0]["began"] - first > -1 and rows[-1]["ended"] - back < 1, (first, rows, back)
    listener.stop()
    end = time.time()
    wait_until("the last count", lambda: postgres.psql(
        f"select max((body->>'to')::timestamptz) > to_timestamp({end - 3}) from roost.events where kind = 'count'", database) == "t", alive=[etl])
    covered, missed = postgres.psql("select sum(covered_seconds)::float8, sum(gap_seconds)::float8 from roost.coverage", database).split("\t")
    assert abs(float(covered) + float(missed) - (end - first)) < 3, f"{covered} s heard + {missed} s missed of {end - first} s"
    assert postgres.psql("select max(body->>'filtered') is not null from roost.events where kind = 'count'", database) == "t"
    etl.stop()
    simulator.stop()


def test_a_kill_while_both_are_open_is_one_gap_from_then_on():
    kill_in_the_middle("beside", "connection 2 slow-head seconds=4 open=keep\n", ["killed"])


def test_a_kill_when_the_old_one_has_ended_and_the_new_one_is_not_answered_leaves_no_hole():
    kill_in_the_middle("between", "connection 2 slow-head seconds=4 open=clean\n", ["reload", "killed"])


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
