#!/usr/bin/env python3
"""roost listen on X's v2 and what the account may have: posts a month, the stream at all, the posts that it missed (enterprise access)."""
import datetime
import json
import re
import sys

import support
from live_v2 import configure, frames, hurry, in_spool, listen, payload, streams, write_faults
from support import Simulator, TestClock, folder, wait_until

STREAM = "GET /2/tweets/search/stream ->"


def gaps(conf):
    """The gap events in the spool, in order."""
    return [line["body"] for line in frames(conf) if line["kind"] == "gap"]


def next_month(moment):
    first = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + datetime.timedelta(days=32)).replace(day=1).timestamp()


def test_a_spent_account_is_down_until_its_month_is_over_and_nothing_has_to_be_done():
    clock = TestClock()
    clock.jump(round((next_month(clock.now()) - 3 * 86400 - clock.now()) * 1000))
    simulator = Simulator("--api", 2, "--rate", 100, "--loop", "--usage-cap", 40)
    conf = configure(simulator.base, ["music", "tea", "coffee"])
    listener = listen(conf)
    words = "the account has no posts left to read until its next period or until somebody pays: it is asked again by itself"
    wait_until("the cap", lambda: re.search(r"lost: .*next attempt in 900\.0 s", listener.log()), alive=[listener, simulator])
    assert "UsageCapExceeded" in listener.log() and words in listener.log(), listener.log()
    listener.stop()
    assert len(in_spool(conf)) == 40, "not one post beyond the cap"

    # Ten minutes before the month's end: the ladder's next step would be half an hour, the month is over sooner.
    clock.jump(round((next_month(clock.now()) - 600 - clock.now()) * 1000))
    listener = listen(conf)
    found = wait_until("the refusal", lambda: re.search(r"answered 429 \"UsageCapExceeded.*" + words + r"; next attempt in (\d+)\.\d s",
                                                        listener.log()), alive=[listener, simulator])
    assert 10 < int(found[1]) <= 610, found[0]
    listener.stop()
    assert simulator.log().count(STREAM) == 2, "asked once by each life: " + simulator.log()

    clock.jump(600_000)
    listener = listen(conf)
    streams(listener, simulator, 2)
    wait_until("the new month's posts", lambda: len(in_spool(conf)) > 40, alive=[listener, simulator])
    listener.stop()
    simulator.stop()
    clock.close()
    assert [row["cause"] for row in gaps(conf)] == ["spend", "stopped", "spend", "stopped"], gaps(conf)


def test_an_app_without_access_is_told_what_it_needs_and_given_up():
    simulator = Simulator("--api", 2, "--access", "free")
    conf = configure(simulator.base, ["music"])
    clock = TestClock(speed=50)
    listener = listen(conf)
    wait_until("the end", lambda: "stopped:" in listener.log())
    clock.close()
    stopped = next(line for line in listener.log().splitlines() if "stopped:" in line)
    assert "403" in stopped and "Client Forbidden" in stopped, stopped
    assert "this app's project has no access to the filtered stream: it needs a paid plan" in stopped, stopped
    assert simulator.log().count(" -> 403 ") == 3, simulator.log()
    listener.kill()
    simulator.stop()


@hurry()
def test_an_app_that_loses_its_access_is_asked_again_and_its_gap_says_why():
    simulator = Simulator("--api", 2, "--rate", 50, "--loop", "--faults", write_faults("message 60 client-forbidden\n"))
    conf = configure(simulator.base, ["music", "tea", "coffee"])
    listener = listen(conf)
    streams(listener, simulator, 2)
    listener.stop()
    simulator.stop()
    assert re.search(r"answered 403 \"Client Forbidden: .*client-not-enrolled\": this app's project has no access.*next attempt in 60\.0 s",
                     listener.log()), listener.log()
    assert "stopped:" not in listener.log(), "its credentials have streamed"
    assert len(gaps(conf)) == 1, gaps(conf)


@hurry()
def test_what_was_missed_comes_with_the_next_stream_where_the_account_has_backfill():
    recording = folder() / "numbered.ndjson"
    recording.write_text("".join(json.dumps(payload(number)) + "\n" for number in range(6000)), encoding="utf-8")
    simulator = Simulator("--api", 2, "--access", "enterprise", "--rate", 20, "--file", recording,
                          "--faults", write_faults("message 100 status code=503 times=2\n"))
    conf = configure(simulator.base, ["post"], more="backfill_minutes = 2\n")

    def whole(least):
        """Every post from the first that was heard to the last one is there."""
        numbers = {int(line["text"].split()[1]) for line in in_spool(conf).values()}
        assert numbers == set(range(min(numbers), max(numbers) + 1)) and len(numbers) >= least, sorted(numbers)
        return numbers

    listener = listen(conf)
    streams(listener, simulator, 2)
    wait_until("the posts behind the outage", lambda: len(in_spool(conf)) > 450, alive=[listener, simulator])
    listener.stop()
    first = whole(400)
    assert [row["cause"] for row in gaps(conf)] == ["network"], "the source was not heard, whatever came later: " + str(gaps(conf))

    # Over a restart as well: the outage is known from the ledger.
    listener = listen(conf)
    streams(listener, simulator, 3)
    wait_until("the posts behind the restart", lambda: len(in_spool(conf)) > len(first) + 100, alive=[listener, simulator])
    listener.stop()
    whole(len(first) + 100)
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
