#!/usr/bin/env python3
"""roost listen on X's v2: it fetches its token, makes the rules its own, and tells what came through which, from five lines on."""
import contextlib
import json
import sys
import urllib.request

import support
from fake_x import FakeX
from support import API_KEY, API_SECRET, Postgres, Process, Simulator, TestClock, folder, roost, wait_until

TOKEN = "roostDemoBearerTokenThatIsNoSecret%3D"
RULES = "/2/tweets/search/stream/rules"
count = 0


def configure(base, keywords, more="", database=None, postgres=None, credentials=f"api_key = {API_KEY}\napi_secret = {API_SECRET}"):
    global count
    count += 1
    home = folder() / f"c{count}"
    home.mkdir()
    (home / "kw.txt").write_text("\n".join(keywords) + "\n", encoding="utf-8")
    sink = f"[sink main]\ntype = postgres\nconninfo = {postgres.conninfo} dbname={database}\n" if postgres else ""
    conf = home / "roost.conf"
    conf.write_text(f"[source x]\ntype = x-v2\nurl = {base}\n{credentials}\n{more}\n[filter]\nkeywords_file = kw.txt\n"
                    f"[bridge]\nlisten = {home / 'b.sock'}\nspool_dir = {home / 'spool'}\n[etl]\nbatch_interval = 200ms\n{sink}")
    conf.chmod(0o600)
    return conf


def call(base, method, path, body=None):
    request = urllib.request.Request(base + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def rules(base):
    return {rule["value"]: rule.get("tag") for rule in call(base, "GET", RULES).get("data", [])}


@contextlib.contextmanager
def hurry():
    """Programs started in it wait for an eighth of the time that the ladders say."""
    clock = TestClock(speed=8)
    try:
        yield
    finally:
        clock.close()


def listen(conf):
    return Process("listen", "listen", "-c", conf)


def streams(process, simulator, times=1):
    wait_until("the stream", lambda: simulator.log().count("GET /2/tweets/search/stream -> 200") >= times, alive=[process, simulator])


def write_faults(text):
    path = folder() / f"faults{count}"
    path.write_text(text)
    return path


def test_key_and_secret_and_keywords_are_enough_for_rows_with_rules_and_keywords():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--api", 2, "--rate", 400, "--loop")
    call(simulator.base, "POST", RULES, {"add": [{"value": "football", "tag": "another program's"}, {"value": "museum", "tag": "roost:y:1:1"},
                                                {"value": "(old OR rule)", "tag": "roost:x:00000000:1"}]})
    conf = configure(simulator.base, ["tea", "coffee", "= music has:hashtags"], "local_filter = yes", database, postgres)
    roost("migrate", "-c", conf)
    listener = listen(conf)
    running = [simulator, listener, Process("etl", "etl", "-c", conf)]
    found = "select count(*) from roost.posts where 'tea' = any(keywords)), (select count(*) from roost.posts where '= music has:hashtags' = any(keywords)"
    wait_until("rows of both kinds", lambda: min(map(int, postgres.psql(f"select ({found})", database).split("\t"))) >= 20, alive=running)
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
    assert API_SECRET not in log and TOKEN not in log


@hurry()
def test_a_token_that_expires_in_the_middle_is_fetched_anew():
    simulator = Simulator("--api", 2, "--rate", 50, "--loop", "--faults", write_faults("message 40 expired-token\nmessage 40 cut\n"))
    listener = listen(configure(simulator.base, ["music", "tea", "coffee"]))
    streams(listener, simulator, 2)
    log = simulator.log()
    assert log.count("POST /oauth2/token -> 200") == 2 and log.count("GET /2/tweets/search/stream -> 401") == 1, log
    assert log.count("POST " + RULES) == 2, "rules that are there are not applied again:\n" + log
    listener.stop()
    assert "another one is fetched with api_key and api_secret" in listener.log(), listener.log()


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


@hurry()
def test_a_change_that_fails_does_not_keep_the_old_rules_from_streaming():
    def ill(handler):
        handler.answer(503, {"title": "Service Unavailable", "status": 503})
        return True

    def passes(_):
        return None
    x = FakeX(lines=[b'{"data":{"id":"1500000000000000001","text":"a cup of tea"}}'])
    x.token = TOKEN
    x.put("(old OR tea)", "roost:x:00000000:1")
    x.script = [passes, ill]  # the list comes, the dry run does not
    conf = configure(x.url, ["tea", "milk"], credentials=f"bearer_token = {TOKEN}")
    listener = listen(conf)
    wait_until("the stream", lambda: x.streams, alive=[listener])
    assert x.values() == {"(old OR tea)"}
    wait_until("the log", lambda: "streaming from" in listener.log(), alive=[listener])
    log = listener.log()
    assert "status 503" in log and "the stream is opened with the rules that are there, and they are changed in 60 s" in log, log
    wait_until("the change beside the stream", lambda: x.values() == {"milk OR #milk OR @milk OR tea OR #tea OR @tea"}, alive=[listener])
    listener.stop()
    assert len(x.streams) == 1 and "rules: 1 added, 1 deleted, 1 in force" in listener.log(), listener.log()
    # Without a rule of its own there, or without the list, no stream: what came would be other programs'.
    x.rules.clear()
    x.put("football", "theirs")
    x.streams.clear()
    x.script = [ill, passes, ill]
    listener = listen(conf)
    wait_until("the stream", lambda: x.streams, alive=[listener])
    assert "football" in x.values() and len(x.values()) == 2, x.rules
    listener.stop()
    assert listener.log().count("next attempt in") == 2, listener.log()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
