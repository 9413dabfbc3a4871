#!/usr/bin/env python3
"""The same tweet, however often and in whichever form it comes, is one row; nothing the network sends becomes an error."""
import json
import sys

import reading
import reading_v2
import support
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until, write_configuration


def stream_to_rows(name, lines, received, **options):
    """Streams these raw lines once; returns (postgres, database) when `received` frames are in roost.batches."""
    path = folder() / f"{name}.ndjson"
    path.write_bytes(b"".join(line + b"\r\n" for line in lines))
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", path, "--no-filter")
    conf = write_configuration(name, simulator.url, database, postgres, **options)
    roost("migrate", "-c", conf)
    running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
    wait_until("the frames", lambda: int(postgres.psql("select coalesce(sum(received), 0) from roost.batches", database)) >= received,
               alive=running)
    for process in reversed(running):
        process.stop()
    return postgres, database


def tweets(count):
    with open(recorded("tweets-v1.1.ndjson"), "rb") as file:
        lines = [line.rstrip(b"\n") for line in file if b'"timestamp_ms"' in line]
    return lines[:count]


def test_a_tweet_with_and_without_timestamp_ms_is_one_row():
    doubled = []
    for line in tweets(50):
        tweet = json.loads(line)
        assert tweet.pop("timestamp_ms")
        doubled += [line, json.dumps(tweet).encode()]
    postgres, database = stream_to_rows("twice", doubled, 100)
    assert postgres.psql("select count(*), count(distinct id) from roost.posts", database) == "50\t50"
    assert postgres.psql("select sum(loaded), sum(duplicate) from roost.batches", database) == "50\t50"


def test_a_tweet_by_both_apis_is_one_row_with_one_text():
    """v1.1 with and without timestamp_ms, and v2, which delivers whole seconds; whichever comes first, the row is the same."""
    chosen = [line for line in tweets(600) if not {"retweeted_status", "quoted_status"} & json.loads(line).keys()][:60]
    without = [dict(json.loads(line)) for line in chosen]
    for tweet in without:
        del tweet["timestamp_ms"]
    path = folder() / "v2.ndjson"
    path.write_bytes(b"".join(reading_v2.from_v1(json.loads(line)) + b"\r\n" for line in chosen))
    v2 = Simulator("--api", 2, "--file", path, "--no-filter", "--bearer-token", "token")
    second = f"[source v2]\ntype = x-v2\nurl = {v2.base}\nbearer_token = token\n"
    postgres, database = stream_to_rows("both", [line for pair in zip(chosen, map(json.dumps, without)) for line in
                                                 (pair[0], pair[1].encode())], 180, source=second)
    assert postgres.psql("select count(*), count(distinct id) from roost.posts", database) == "60\t60"
    assert postgres.psql("select sum(loaded), sum(duplicate) from roost.batches", database) == "60\t120"
    rows = {row["id"]: row for row in postgres.rows("select id, text, author_id, author_handle, lang, hashtags, mentions, urls from roost.posts",
                                                    database)}
    for line in chosen:
        expected = reading.expected_row(json.loads(line))
        for column, value in rows[expected["id"]].items():
            assert value == expected[column] or (column == "lang" and value == "und"), (expected["id"], column, value, expected[column])


def test_what_is_no_tweet_is_kept_counted_or_set_aside_and_breaks_nothing():
    good = tweets(2)
    bad = [
        b'{"broken": ', b"not json at all", b'{"id_str":"1050118621198921741","text":"lone \\ud83d surrogate","user":{"id_str":"9"}}',
        b'{"id_str":"1050118621198921742","text":"nul \\u0000 inside","user":{"id_str":"9","screen_name":"nul"}}',
        b'{"id_str":"1050118621198921743","text":"bad utf-8 \xff\xfe","user":{"id_str":"9"}}',
        b'{"id_str":"1050118621198921728","text":17}', b'{"new_thing":{"a":[1,2,{"b":null}]}}', b"[]", b"null", b"12",
        b'{"id":1050118621198921729,"id_str":null,"text":"digits","user":{"id":7,"screen_name":"d"}}',
        b'{"limit":{"track":5}}', b'{"delete":{"status":{"id":77,"user_id":8}}}',
        b'{"id_str":"1050118621198921744","text":"' + b"x" * (1 << 20) + b'"}',
        b'{"id_str":"1050118621198921745","text":"deep","user":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ]
    postgres, database = stream_to_rows("hostile", [good[0], *bad, good[1]], 13)
    posts = {r["id"]: r for r in postgres.rows("select id, text, author_id from roost.posts", database)}
    assert posts["1050118621198921741"]["text"] == "lone \ufffd surrogate"
    assert posts["1050118621198921742"]["text"] == "nul  inside"
    assert posts["1050118621198921743"]["text"] == "bad utf-8 \ufffd\ufffd"
    assert posts["1050118621198921729"]["author_id"] == "7"
    for line in good:
        assert json.loads(line)["id_str"] in posts, "what comes after the bad messages is read"
    assert postgres.psql("select count(*) from roost.rejects", database) == "0"
    events = postgres.rows("select kind, id, author_id from roost.events", database)
    assert {"kind": "delete", "id": "77", "author_id": "8"} in events, events
    assert sum(e["kind"] == "unknown" for e in events) >= 2, events
    assert sum(e["kind"] == "limit" for e in events) == 1


def test_keywords_say_which_line_matched_and_exclusions_drop():
    template = json.loads(tweets(1)[0])
    for key in ("retweeted_status", "extended_tweet", "quoted_status"):
        template.pop(key, None)
    texts = {1: "Coffee with TEA", 2: "tea, no milk", 3: "coffeehouse", 4: "black coffee please", 5: "coffee black", 6: "decaf coffee",
             7: "caf\u00e9", 8: "#Coffee"}
    lines = [json.dumps(dict(template, id=(10**18) + (n << 22), id_str=str((10**18) + (n << 22)), text=text,
                             entities={"hashtags": [], "urls": [], "user_mentions": [], "symbols": []})).encode()
             for n, text in texts.items()]
    postgres, database = stream_to_rows("keywords", lines, 7, keywords='coffee, tea, "black coffee", caf\u00e9, -decaf')
    found = {r["text"]: r["keywords"] for r in postgres.rows("select text, keywords from roost.posts", database)}
    assert "decaf coffee" not in found
    assert sorted(found["Coffee with TEA"]) == ["coffee", "tea"]
    assert found["coffeehouse"] == []
    assert sorted(found["black coffee please"]) == ['"black coffee"', "coffee"]
    assert found["coffee black"] == ["coffee"]
    assert found["caf\u00e9"] == ["caf\u00e9"]
    assert found["#Coffee"] == ["coffee"]


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
