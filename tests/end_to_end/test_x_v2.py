#!/usr/bin/env python3
"""X's v2 filtered stream: every recorded line is one row with every column as it must be; certificates count."""
import collections
import json
import sys

import reading_v2
import support
from fake_x import FakeX
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until

TOKEN = "AAAAtestToken%2Fthat%3Dis%2Fno%3Dsecret"


def write_v2(name, base, database, postgres, source="", keywords="the"):
    """A configuration with one x-v2 source."""
    home = folder() / name
    home.mkdir(exist_ok=True)
    path = home / "roost.conf"
    path.write_text(f"""[source x]
type = x-v2
url = {base}
bearer_token = {TOKEN}
{source}
[filter]
keywords = {keywords}
[bridge]
listen = {home / 'bridge.sock'}
spool_dir = {home / 'spool'}
[etl]
batch_interval = 200ms
[sink main]
type = postgres
conninfo = {postgres.conninfo} dbname={database}
""")
    path.chmod(0o600)
    return path


def load(name, lines, rows, **options):
    """Streams these lines once; returns (postgres, database, server, the listener's log) when there are so many rows."""
    postgres = Postgres()
    database = postgres.create()
    server = FakeX(lines=lines)
    server.token = TOKEN
    conf = write_v2(name, server.url, database, postgres, **options)
    roost("migrate", "-c", conf)
    listen = Process("listen", "listen", "-c", conf)
    running = [listen, Process("etl", "etl", "-c", conf)]
    wait_until("the rows", lambda: int(postgres.psql("select count(*) from roost.posts", database)) >= rows, alive=running)
    for process in reversed(running):
        process.stop()
    return postgres, database, server, listen.log()


def recorded_lines(name):
    return [line.rstrip("\r\n") for line in recorded(name).read_text(encoding="utf-8").split("\n") if line.strip()]


def test_every_recorded_line_is_a_row_with_every_column_as_it_must_be():
    raw = recorded_lines("x-v2-stream.ndjson") + recorded_lines("x-v2-posts.ndjson")
    by_id = collections.OrderedDict()
    for text in raw:
        line = json.loads(text)
        by_id.setdefault(line["data"]["id"], reading_v2.Line(line))  # the first of a post is its row
    postgres, database, server, log = load("recorded", [text.encode() for text in raw], len(by_id), source="store_raw = yes")
    rows = postgres.rows(f"select {reading_v2.COLUMNS} from roost.posts", database)
    assert len(rows) == len(by_id), (len(rows), len(by_id))
    wrong = reading_v2.differences(by_id.values(), rows)
    assert not wrong, f"{len(wrong)} differences, the first: {wrong[:5]}"
    assert postgres.psql("select count(*) from roost.rejects", database) == "0"
    assert postgres.psql("select count(*) from roost.events where kind not in ('count', 'gap', 'keywords')", database) == "0"
    assert postgres.psql("select sum(duplicate) from roost.batches", database) == str(len(raw) - len(by_id))
    assert len(server.streams) == 1 and server.streams[0][1]["Authorization"] == f"Bearer {TOKEN}", server.streams
    assert "backfill_minutes" not in server.streams[0][0]
    assert TOKEN not in log and "WARNING" not in log, log


def made_up(number, **more):
    """A post of the test's own; `more`: further members of data."""
    return {"data": {"id": str((10**18) + (number << 22)), "text": f"post {number}", "author_id": "7", **more}}


def test_what_is_not_recorded_arrives_too():
    long_text = "A long post &amp; more, " * 40 + "#end"
    original = dict(made_up(1)["data"], text="A long post\u2026", note_post={"text": long_text, "entities": {"hashtags": [{"tag": "End"}]}})
    lines = [
        made_up(2, note_tweet={"text": long_text, "entities": {"hashtags": [{"start": 5, "end": 8, "tag": "End"}]}}),
        {**made_up(3, text="RT @old: A long post\u2026", referenced_posts=[{"type": "retweeted", "id": original["id"]}]),
         "includes": {"posts": [original], "users": [{"id": "7", "username": "new"}]}},
        made_up(4, edit_history_post_ids=["17", made_up(4)["data"]["id"]], text="edited \ud83c\udf70 \u0641\u0627\u0631\u0633\u06cc"
                .encode("utf-16", "surrogatepass").decode("utf-16")),
        {**made_up(5), "errors": [{"title": "Not Found Error", "type": "https://api.x.com/2/problems/resource-not-found"}],
         "matching_rules": [{"id": "12", "tag": "roost:x:0123abcd:1"}, {"id": "13"}]},
    ]
    end = {"errors": [{"title": "operational-disconnect", "disconnect_type": "OperationalDisconnect",
                       "type": "https://api.x.com/2/problems/operational-disconnect"}]}
    sent = [json.dumps(line).encode() for line in [*lines, end, {"errors": [{"title": "x", "type": "/resource-not-found"}]}]]
    postgres, database, _, log = load("made-up", [*sent, b"no JSON", json.dumps(made_up(6)).encode()], 5, source="store_raw = yes")
    wrong = reading_v2.differences([reading_v2.Line(line) for line in [*lines, made_up(6)]],
                                   postgres.rows(f"select {reading_v2.COLUMNS} from roost.posts", database))
    assert not wrong, wrong
    kinds = postgres.rows("select kind, body from roost.events where kind not in ('count', 'gap', 'keywords') order by kind", database)
    assert [event["kind"] for event in kinds] == ["disconnect", "unknown"] and kinds[0]["body"] == end, kinds
    assert "unreadable" in log


def test_a_certificate_that_nobody_vouches_for_is_believed_only_with_the_long_key():
    postgres = Postgres()
    database = postgres.create()
    server = Simulator("--api", 2, "--bearer-token", TOKEN, "--tls")
    conf = write_v2("tls", server.base, database, postgres)
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the certificate to be refused", lambda: "certificate" in listen.log(), alive=[listen])
    listen.stop()
    assert "GET" not in server.log() and "POST" not in server.log(), "no byte of a request, and so no token, was sent"
    conf = write_v2("tls", server.base, database, postgres, source="tls_insecure_accept_any_certificate = yes")
    for _ in range(2):  # each start warns
        listen = Process("listen", "listen", "-c", conf)
        wait_until("the stream", lambda: "streaming" in listen.log(), alive=[listen])
        listen.stop()
        assert "tls_insecure_accept_any_certificate" in listen.log(), listen.log()
    assert server.log().count("GET /2/tweets/search/stream -> 200") == 2, server.log()


def test_check_says_what_an_x_v2_source_amounts_to_and_shows_no_secret():
    path = folder() / "check.conf"
    path.write_text(f"[source x]\ntype = x-v2\nbearer_token = {TOKEN}\nbackfill_minutes = 2\n[filter]\nkeywords = tea, = from:ada\n")
    path.chmod(0o600)
    said = roost("check", "-c", path)
    for part in ("[source x] x-v2, https://api.x.com\n", "bearer token: given", "rules: 2 of at most 1000", "of 1024 characters",
                 "the last 2 minutes are sent again"):
        assert part in said, said
    assert TOKEN not in said and "closed its v1.1" not in said and "asked for" not in said, said


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
