#!/usr/bin/env python3
"""roost listen on X's v2 when the API does not do what it is asked: a token that expires, rules that cannot be changed now."""
import base64
import re
import signal
import sys
import urllib.parse
import urllib.request

import support
from fake_x import FakeX
from live_v2 import RULES, TOKEN, call, configure, frames, hurry, listen, streams, write_faults
from support import API_KEY, API_SECRET, Simulator, wait_until


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
    assert len(x.streams) == 1, x.streams
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


@hurry()
def test_a_stream_and_a_token_lost_in_the_middle_of_a_change_do_not_lose_the_change():
    simulator = Simulator("--api", 2, "--rate", 20, "--loop")
    conf = configure(simulator.base, ["music", "tea"])
    listener = listen(conf)
    streams(listener, simulator)
    (conf.parent / "kw.txt").write_text("music\ncoffee\n")
    listener.child.send_signal(signal.SIGHUP)
    wait_until("the change to begin", lambda: "are deleted in 30 s" in listener.log(), alive=[listener])
    call(simulator.base, "DELETE", "/2/connections/all")
    basic = base64.b64encode(f"{API_KEY}:{API_SECRET}".encode()).decode()
    request = urllib.request.Request(simulator.base + "/oauth2/invalidate_token", f"access_token={urllib.parse.quote(TOKEN)}".encode(), {"Authorization": f"Basic {basic}"})
    with urllib.request.urlopen(request, timeout=60):
        pass
    streams(listener, simulator, 2)
    wait_until("the end of the change", lambda: "1 deleted, 1 in force" in listener.log(), alive=[listener])
    listener.stop()
    log = simulator.log()
    assert "GET /2/tweets/search/stream -> 401" in log and log.count("POST /oauth2/token -> 200") >= 2, log


@hurry()
def test_answers_that_are_no_stream_climb_the_ladder_of_http_and_each_outage_is_one_row():
    script = write_faults("message 20 page\nmessage 40 json\nmessage 60 redirect times=2\nmessage 80 status code=503 retry-after=17 body=html\n")
    simulator = Simulator("--api", 2, "--rate", 50, "--loop", "--faults", script)
    conf = configure(simulator.base, ["music", "tea", "coffee"])
    listener = listen(conf)
    wait_until("the fifth stream", lambda: simulator.log().count("stream -> 200 account") == 5, alive=[listener, simulator])
    wait_until("the fourth gap", lambda: sum(frame["kind"] == "gap" for frame in frames(conf)) == 4, alive=[listener, simulator])
    listener.stop()
    simulator.stop()
    # What comes again within a minute is not said again; the words of each answer are tests/ingest/x_v2_answers.c's.
    assert re.search(r"answered 200 with a web page.*next attempt in 5\.0 s", listener.log()), listener.log()
    # A fault's answer, and how long after it the next request came.
    asked = re.findall(r"/2/tweets/search/stream -> \d+ (account|fault).*wall_ms=(\d+)", simulator.log())
    waits = [(int(b[1]) - int(a[1])) / 1000 for a, b in zip(asked, asked[1:]) if a[0] == "fault"]
    assert len(waits) == 5 and all(wait >= least - 0.1 for wait, least in zip(waits, (5, 5, 5, 10, 17))), waits
    assert [frame["body"]["cause"] for frame in frames(conf) if frame["kind"] == "gap"] == ["network"] * 4, frames(conf)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
