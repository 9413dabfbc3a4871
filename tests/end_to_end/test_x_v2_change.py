#!/usr/bin/env python3
"""SIGHUP on X's v2: another list beside the open stream, under load; mistakes; what needs another stream."""
import contextlib
import json
import os
import re
import signal
import sys

import support
from live_v2 import TOKEN, configure, hurry, in_spool, listen, payload, rules, streams, write_faults
from support import API_KEY, API_SECRET, Simulator, folder, wait_until


# In real time 2 s of the rules' own delay and 30 s before old ones go need about a minute: the long form.
LONG = os.environ.get("ROOST_LONG") == "1"


def hang_up(listener, lines, conf):
    (conf.parent / "kw.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    listener.child.send_signal(signal.SIGHUP)


def test_a_keyword_change_at_1000_a_second_loses_nothing_of_the_others_and_no_connection():
    count = 45000 if LONG else 16000
    posts = [payload(number) for number in range(count)]
    path = folder() / "posts.ndjson"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    # In the short form eight times 125 are 1,000 a second, and rules work after 16 s, so 2 s here.
    rate, delay = (1000, 2) if LONG else (125, 16)
    with contextlib.nullcontext() if LONG else hurry():
        simulator = Simulator("--api", 2, "--file", path, "--recorded-ids", "--rate", rate, "--wait", "--rule-delay", delay, "--at-end", "hold")
        conf = configure(simulator.base, ["stays", "old"], "local_filter = yes\nlanguages = en")
        listener = listen(conf)
    streams(listener, simulator)
    # Rules of the first start need their time, too: the change comes when there is something to lose.
    wait_until("posts by the old list", lambda: sum(1 for p in in_spool(conf).values() if p["keywords"] == ["old"]) > 100, alive=[listener])
    hang_up(listener, ["stays", "new"], conf)
    wait_until("the change", lambda: "rules: 1 added, 1 deleted, 1 in force" in listener.log(), alive=[listener, simulator])
    last = posts[-2]["data"]["id"]
    wait_until("the last post", lambda: last in in_spool(conf), alive=[listener, simulator])
    listener.stop()
    simulator.stop()
    got = in_spool(conf)
    numbers = {word: sorted(int(p["text"].split()[1]) for p in got.values() if p["keywords"] == [word]) for word in ("stays", "old", "new")}
    stays = numbers["stays"]
    assert stays == list(range(stays[0], count, 2)), "posts of the keyword that stays are missing"
    assert numbers["new"][0] > numbers["old"][-1], "the local list changes at once, when the additions begin"
    assert numbers["new"] == list(range(numbers["new"][0], count, 4)), "no hole behind the first by the new keyword"
    log = listener.log()
    assert simulator.log().count("GET /2/tweets/search/stream ->") == 1 and log.count("streaming from") == 1, log
    assert "no source has to begin anew" in log, log


def test_a_mistake_at_a_hang_up_keeps_the_old_list_and_the_next_one_is_taken():
    posts = [payload(number) for number in range(4)]
    path = folder() / "few.ndjson"
    path.write_text("".join(json.dumps(post) + "\n" for post in posts))
    with hurry():
        simulator = Simulator("--api", 2, "--file", path, "--rate", 50, "--loop", "--fresh-ids", "--rule-length", 100)
        conf = configure(simulator.base, ["stays", "old"])
        listener = listen(conf)
    streams(listener, simulator)
    before = rules(simulator.base)
    hang_up(listener, ["stays", "new", "= from:ada " + "-is:retweet " * 9], conf)
    wait_until("the refusal", lambda: "the old keywords and their rules stay in force" in listener.log(), alive=[listener])
    assert f"{conf.parent / 'kw.txt'}:3: = from:ada" in listener.log(), listener.log()
    assert rules(simulator.base) == before
    hang_up(listener, ["stays", "old", "also"], conf)
    wait_until("the first change to begin", lambda: "are deleted in 30 s" in listener.log(), alive=[listener])
    hang_up(listener, ["stays", "new"], conf)  # before it ends
    wait_until("the old rules to go", lambda: "rules: 1 added, 2 deleted, 1 in force" in listener.log(), alive=[listener])
    assert len(rules(simulator.base)) == 1
    known = set(in_spool(conf))
    wait_until("posts by the last list", lambda: any(p.get("keywords") == ["new"] for i, p in in_spool(conf).items() if i not in known),
               alive=[listener])
    listener.stop()
    simulator.stop()
    assert listener.log().count("streaming from") == 1, listener.log()


def test_another_account_is_another_stream():
    simulator = Simulator("--api", 2, "--rate", 50, "--loop")
    conf = configure(simulator.base, ["music"])
    listener = listen(conf)
    streams(listener, simulator)
    conf.write_text(conf.read_text().replace(f"api_key = {API_KEY}\napi_secret = {API_SECRET}", f"bearer_token = {TOKEN}"))
    listener.child.send_signal(signal.SIGHUP)
    streams(listener, simulator, 2)
    listener.stop()
    assert "the stream is closed, and opened with it" in listener.log(), listener.log()


def test_a_hang_up_in_a_wait_neither_shortens_it_nor_is_lost():
    faults = write_faults("connection 1 status code=429 times=1 reset=61\n")
    with hurry():
        simulator = Simulator("--api", 2, "--rate", 50, "--loop", "--faults", faults)
        conf = configure(simulator.base, ["music"])
        listener = listen(conf)
    wait_until("the wait", lambda: "; next attempt in" in listener.log(), alive=[listener, simulator])
    hang_up(listener, ["music", "tea"], conf)
    hang_up(listener, ["coffee"], conf)
    streams(listener, simulator)
    wait_until("the last list's rules alone", lambda: set(rules(simulator.base)) == {"coffee OR #coffee OR @coffee"}, alive=[listener, simulator])
    listener.stop()
    simulator.stop()
    asked = [int(t) for t in re.findall(r"GET /2/tweets/search/stream -> \d+ .*wall_ms=(\d+)", simulator.log())]
    assert len(asked) == 2 and asked[1] - asked[0] >= 60000, simulator.log()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
