#!/usr/bin/env python3
"""Every recorded tweet arrives in roost.posts once, with its exact text; every control message in roost.events."""
import collections
import json
import sys

import reading
import support
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until, write_configuration

FIELDS = ("id, text, author_handle, author_id, lang, is_retweet, retweet_of, hashtags, mentions, urls, "
          "round(extract(epoch from created_at) * 1000)::bigint as created_at_ms")


def messages_of_both():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    ids = {t["id_str"] for t in tweets}
    raw = [line for line in recorded("control-v1.1.ndjson").read_text().split("\n") if line.strip()]
    kept = [line for line in raw if (json.loads(line).get("delete") or {"status": {"id_str": ""}})["status"]["id_str"] not in ids]
    assert len(raw) - len(kept) == 3, "the three deletes that name tweets of the same file"
    control = folder() / "control.ndjson"
    control.write_text("".join(line + "\r\n" for line in kept))
    return tweets, kept, control


def test_recorded_tweets_arrive_exactly_once_with_exact_texts():
    tweets, kept, control = messages_of_both()
    postgres = Postgres()
    database = postgres.create()
    # One keyword for all: the simulator filters as the network did, so its filter is switched off for this test.
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--control", control, "--chunk", "random", "--seed", "7",
                          "--no-filter", "--at-end", "hold")
    conf = write_configuration("full", simulator.url, database, postgres, keywords="a, the, rt, de")
    roost("migrate", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    listen = Process("listen", "listen", "-c", conf)
    running = [simulator, listen, etl]
    total = len(tweets) + len(kept)

    def arrived():
        return int(postgres.psql("select (select count(*) from roost.posts) + (select count(*) from roost.events where kind in "
                                 "('delete', 'limit'))", database)) >= total

    wait_until("all messages to arrive", arrived, patience=240, alive=running)
    etl.stop()
    listen.stop()
    rows = {row["id"]: row for row in postgres.rows(f"select {FIELDS} from roost.posts", database)}
    assert int(postgres.psql("select count(*) from roost.posts", database)) == len(tweets)
    wrong = []
    for tweet in tweets:
        expected = reading.expected_row(tweet)
        row = rows.get(expected["id"])
        for key, value in expected.items():
            if row is None or row[key] != value:
                wrong.append((expected["id"], key, value, None if row is None else row[key]))
    assert not wrong, f"{len(wrong)} differences, the first: {wrong[:5]}"
    assert postgres.psql("select count(*) from roost.rejects", database) == "0"
    kinds = collections.Counter(next(iter(json.loads(line))) for line in kept)
    events = {r["kind"]: r["n"] for r in postgres.rows("select kind, count(*) as n from roost.events group by kind", database)}
    for kind, number in kinds.items():
        assert events.get(kind) == number, (kind, number, events)
    bodies = sorted(json.dumps(r["body"], sort_keys=True) for r in
                    postgres.rows("select body from roost.events where kind in ('delete', 'limit')", database))
    assert bodies == sorted(json.dumps(json.loads(line), sort_keys=True) for line in kept), "bodies are kept whole"
    bad = postgres.psql("select count(*) from roost.batches where received <> loaded + duplicate + filtered + rejected + events", database)
    assert bad == "0"
    assert postgres.psql("select sum(duplicate) from roost.batches", database) == "0"


def test_clean_text_follows_its_rule_for_every_tweet():
    """Independent and simple: what may never be left in clean_text."""
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold")
    conf = write_configuration("clean", simulator.url, database, postgres)
    roost("migrate", "-c", conf)
    running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
    wait_until("all tweets", lambda: postgres.psql("select count(*) from roost.posts", database) == "5982", alive=running)
    for what, where in {
        "links": "clean_text ~* 'https?://'",
        "upper case": "clean_text ~ '[A-Z]'",
        "a leading rt": "clean_text ~ '^rt @'",
        "mentions that the entities name": "exists (select 1 from unnest(mentions) m where clean_text ~ ('(^|[ .,:!?])@' || m || '($|[ .,:!?])'))",
        "white space not squeezed": "clean_text ~ '(^\\s|\\s$|\\s\\s|[\\n\\t\\r])'",
        "a word count below zero or missing": "word_count is null or word_count < 0",
    }.items():
        bad = postgres.rows(f"select id, text, clean_text from roost.posts where {where} limit 3", database)
        assert not bad, (what, bad)
    for process in reversed(running[1:]):
        process.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
