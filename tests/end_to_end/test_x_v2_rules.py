#!/usr/bin/env python3
"""roost listen on X's v2: it fetches its token, makes the rules its own, and tells what came through which, from five lines on."""
import sys

import support
from live_v2 import RULES, TOKEN, call, configure, hurry, listen, rules, streams
from support import API_SECRET, Postgres, Process, Simulator, roost, wait_until


@hurry()
def test_key_and_secret_and_keywords_are_enough_for_rows_with_rules_and_keywords():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--api", 2, "--rate", 50, "--loop")
    call(simulator.base, "POST", RULES, {"add": [{"value": "football", "tag": "another program's"}, {"value": "museum", "tag": "roost:y:1:1"},
                                                {"value": "(old OR rule)", "tag": "roost:x:00000000:1"}]})
    conf = configure(simulator.base, ["tea", "coffee", "= music has:hashtags"], "local_filter = yes", database, postgres)
    roost("migrate", "-c", conf)
    listener = listen(conf)
    running = [simulator, listener, Process("etl", "etl", "-c", conf)]
    found = "select count(*) from roost.posts where 'tea' = any(keywords)), (select count(*) from roost.posts where '= music has:hashtags' = any(keywords)"
    wait_until("rows of both kinds", lambda: min(map(int, postgres.psql(f"select ({found})", database).split("\t"))) >= 20, alive=running)
    wait_until("the old rule to go", lambda: "1 deleted" in listener.log(), alive=running)
    there = rules(simulator.base)
    assert there["football"] == "another program's" and there["museum"] == "roost:y:1:1" and "(old OR rule)" not in there, there
    for process in reversed(running):
        process.stop()
    raw = there["music has:hashtags"]
    mine = [tag for tag in there.values() if tag.startswith("roost:x:")]
    assert len(mine) == 2 and raw in mine, there
    rows = postgres.rows("select text, keywords, rules, hashtags from roost.posts", database)
    for row in rows:
        assert ("= music has:hashtags" in row["keywords"]) == (raw in row["rules"]), row
        assert row["keywords"], "the local filter lets nothing else pass"
    assert sum(1 for row in rows if set(row["rules"]) & set(mine)) > len(rows) / 2
    log = listener.log()
    assert "rules: 2 added, 1 deleted, 2 in force" in log, log
    assert log.index("are deleted in 30 s") < log.index("streaming from") < log.index("1 deleted"), log
    assert API_SECRET not in log and TOKEN not in log


def test_a_refused_rule_names_file_and_line_and_nothing_is_changed():
    simulator = Simulator("--api", 2, "--rule-length", 40)
    call(simulator.base, "POST", RULES, {"add": [{"value": "(old OR rule)", "tag": "roost:x:00000000:1"}]})
    conf = configure(simulator.base, ["tea", "# a comment", "= music -is:retweet lang:en has:links has:hashtags"])
    listener = listen(conf)
    listener.end(2)
    log = listener.log()
    assert f"{conf.parent / 'kw.txt'}:3: = music -is:retweet" in log and "X refuses the rule with it" in log, log
    assert log.count("X refuses the rule with it") == 1, "asked once: another attempt changes nothing:\n" + log
    assert list(rules(simulator.base)) == ["(old OR rule)"], "the old rules stay"
    assert "GET /2/tweets/search/stream -> 200" not in simulator.log(), "no stream"
    simulator.stop()


@hurry()
def test_rules_that_somebody_deleted_are_applied_again_when_the_server_says_so():
    simulator = Simulator("--api", 2, "--rate", 20, "--loop")
    listener = listen(configure(simulator.base, ["music", "tea", "coffee"]))
    streams(listener, simulator)
    before = rules(simulator.base)
    call(simulator.base, "POST", RULES, {"delete": {"values": list(before)}})
    call(simulator.base, "DELETE", "/2/connections/all")
    streams(listener, simulator, 2)
    assert "GET /2/tweets/search/stream -> 409" in simulator.log(), simulator.log()
    assert rules(simulator.base) == before
    listener.stop()
    assert "the account has no rules that work" in listener.log() and listener.log().count("rules: 1 added, 0 deleted") == 2, listener.log()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
