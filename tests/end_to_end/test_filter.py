#!/usr/bin/env python3
"""The local filter in the listener: the keywords of each post, and samples that are the same posts everywhere."""
import hashlib
import json
import random
import re
import sys

import matching
import reading
import support
import test_matching
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until, write_configuration

TWEETS = 1200
LAST = b'{"delete":{"status":{"id":77,"id_str":"77","user_id":8,"user_id_str":"8"}}}'
SHARES = {"10%": 100000, "33.3333%": 333333}


def tweets():
    """(file, ids): every fifth of the recorded tweets, so that all years and languages are among them; a deletion is the last message."""
    path = folder() / "tweets.ndjson"
    if not path.exists():
        lines = [line for line in recorded("tweets-v1.1.ndjson").read_bytes().split(b"\n") if line][::5][:TWEETS]
        path.write_bytes(b"".join(line + b"\r\n" for line in [*lines, LAST]))
    return path, [tweet["id_str"] for tweet in reading.read_lines(path) if "id_str" in tweet]


def frames(conf):
    return [json.loads(line) for line in roost("spool", "--cat", conf.parent / "spool").split("\n") if line]


def play(name, filters, keywords="the", **more):
    """All tweets through a listener; returns its configuration when it has told all and stopped."""
    simulator = Simulator("--file", tweets()[0], "--no-filter", "--at-end", "hold")
    conf = write_configuration(name, simulator.url, keywords=keywords, filters=filters, **more)
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the spool", lambda: (conf.parent / "spool").exists(), alive=[simulator, listen])
    wait_until("the deletion", lambda: any(f["kind"] == "delete" for f in frames(conf)), alive=[simulator, listen])
    listen.stop()
    simulator.stop()
    return conf


def in_sample(network, identifier, millionths):
    """As docs/filter.md says it in Python."""
    digest = hashlib.sha256(f"{network}/{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < 2**64 * millionths // 1_000_000


def sampled(share):
    return {identifier for identifier in tweets()[1] if in_sample("x", identifier, SHARES[share])}


def test_a_sample_is_the_documented_posts_and_what_is_left_out_adds_up_in_the_batches():
    postgres = Postgres()
    database = postgres.create()
    conf = play("ten", "sample = 10%\nlocal_filter = no", postgres=postgres, database=database)
    roost("migrate", "-c", conf)
    # The bridge belongs to the listener: it is started again, against a server that is not there.
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    total = len(tweets()[1]) + 1
    left_out = len(tweets()[1]) - len(sampled("10%"))
    wait_until("the posts and figures", lambda: postgres.psql("select coalesce(sum(filtered), 0), count(*) from roost.batches", database)
               .split("\t")[0] == str(left_out), alive=[listen, etl])
    etl.stop()
    listen.stop()
    stored = set(postgres.psql("select id from roost.posts", database).split("\n"))
    assert stored == sampled("10%") and 60 < len(stored) < 180, (len(stored), len(sampled("10%")))
    sums = postgres.rows("select sum(received) g, sum(loaded) l, sum(duplicate) d, sum(filtered) f, sum(rejected) j, sum(events) e from roost.batches",
                         database)[0]
    assert sums["g"] == sums["l"] + sums["d"] + sums["f"] + sums["j"] + sums["e"]
    assert (sums["l"], sums["f"], sums["d"]) == (len(stored), left_out, 0), sums
    told = postgres.rows("select sum((body->>'received')::int) g, sum((body->>'posts')::int) p, sum((body->>'filtered')::int) f from roost.events "
                         "where kind = 'count'", database)[0]
    assert (told["g"], told["p"], told["f"]) == (total, len(stored), left_out), told
    # The query of docs/filter.md takes all of them and nothing else.
    query = re.search(r"WHERE (sha256.*?);", (support.SOURCE / "docs/filter.md").read_text(), re.S).group(1)
    postgres.psql(f"create table ids as select 'x' as network, unnest('{{{','.join(tweets()[1])}}}'::text[]) as id", database)
    assert set(postgres.psql(f"select id from ids where {query}", database).split("\n")) == stored


def test_another_list_and_machine_take_the_same_posts_and_a_larger_sample_more():
    found = frames(play("other", "sample = 50%", keywords="zzz, -the",
                        source="sample = 33.3333%\nlocal_filter = no"))
    taken = {f["id"] for f in found if f["kind"] == "post"}
    assert taken == sampled("33.3333%") and taken > sampled("10%")
    with_filter = {f["id"]: f for f in frames(play("auto", "sample = 33.3333%\nretweets = no", keywords="the, rt, -love")) if f["kind"] == "post"}
    assert set(with_filter) < taken and with_filter
    assert all(not f["is_retweet"] for f in with_filter.values())
    assert sampled("33.3333%") - set(with_filter) == {f["id"] for f in found if f["kind"] == "post" and (
        f["is_retweet"] or "love" in {word for text in [f["text"], *f.get("hashtags", []), *f.get("urls", [])] for word, _, _ in matching.words_of(text)})}


def test_check_says_what_the_sample_is_and_refuses_what_is_none():
    conf = write_configuration("check", "http://127.0.0.1:9/1.1/statuses/filter.json", filters="sample = 10%", source="sample = 0.0500%")
    assert "  sample: 0.05%, the posts whose hash is below 0020c49ba5e353f7\n" in roost("check", "-c", conf)
    conf = write_configuration("check", "http://127.0.0.1:9/1.1/statuses/filter.json", filters="sample = 10%")
    assert "  sample: 10%, the posts whose hash is below 1999999999999999\n" in roost("check", "-c", conf)
    conf = write_configuration("check", "http://127.0.0.1:9/1.1/statuses/filter.json")
    assert "  sample: 100%, all posts\n" in roost("check", "-c", conf)
    conf = write_configuration("check", "http://127.0.0.1:9/1.1/statuses/filter.json", filters="sample = 10")
    assert "sample = 10: a share above 0% and up to 100%" in roost("check", "-c", conf, expected=2)


def test_the_keywords_of_each_post_are_those_of_the_independent_reading():
    recorded_ones = list(test_matching.recorded_posts())
    lines = []
    for script in test_matching.SCRIPTS:
        maker = test_matching.Maker(random.Random(f"keywords {script}"), script, recorded_ones)
        made = [maker.line(form) for form in test_matching.FORMS for _ in range(9)]
        lines += [line for line in made if len(line.encode()) <= 60]
    lines = lines[:390]
    (folder() / "lines.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    conf = play("keywords", f"keywords_file = {folder() / 'lines.txt'}\nlocal_filter = no", keywords="")
    posts = [f for f in frames(conf) if f["kind"] == "post"]
    assert len(posts) == len(tweets()[1])
    for post in posts:
        retweeted = re.match(r"RT @([^:]{1,50}):", post["text"]) if post.get("is_retweet") else None
        post["mentions"] = post.get("mentions", []) + ([retweeted.group(1)] if retweeted else [])
    read = matching.Posts(posts)
    expected = [set() for _ in posts]
    for line in lines:
        for number in read.matching(matching.parse(line))[0]:
            expected[number].add(line.lower())
    wrong = [(post["text"], set(post.get("keywords", [])) ^ right) for post, right in zip(posts, expected) if set(post.get("keywords", [])) != right]
    assert not wrong, f"{len(wrong)} posts differ, the first: {wrong[:3]}"
    assert sum(map(len, expected)) > 500


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
