#!/usr/bin/env python3
"""roost.keyword_versions says which keywords were in force when: over SIGHUP, restarts, a wiped spool, a source that leaves."""
import re
import shutil
import signal
import sys
from pathlib import Path

import live_v2
import support
from support import Postgres, Process, Simulator, roost, wait_until, write_configuration


def hang_up(process):
    process.child.send_signal(signal.SIGHUP)


def versions(postgres, database):
    """Of each row in order: keywords, whether it is over, and whether it ended when the next one began."""
    return postgres.rows("select source, version, keywords, languages, rule, rule_id, tag, began_at, ended_at, "
                         "ended_at = lead(began_at) over (order by began_at, number) as touches, "
                         "began_at <= now() and began_at > now() - interval '1 hour' as plausible "
                         "from roost.keyword_versions order by began_at, number", database)


def test_v1_lists_begin_and_end_and_neither_restart_nor_wiped_spool_adds_a_row():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("versions", simulator.url, database, postgres, keywords="coffee, music", filters="languages = en, id",
                               source="change_interval = 1s")
    roost("migrate", "-c", conf)

    def start():
        return [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]

    def events():
        return int(postgres.psql("select count(*) from roost.events where kind = 'keywords'", database))

    def stop(running):
        for process in reversed(running[1:]):
            process.stop()

    running = start()
    wait_until("the first version", lambda: len(versions(postgres, database)) == 1, alive=running)
    (first,) = versions(postgres, database)
    assert first["keywords"] == ["coffee", "music"] and sorted(first["languages"]) == ["en", "id"] and first["ended_at"] is None, first
    assert first["rule"] == "coffee,music" and first["rule_id"] is None and first["tag"] is None and first["plausible"], first
    posts = int(postgres.psql(f"select count(*) from roost.posts where received_at < '{first['began_at']}'", database))
    assert posts == 0, "a post from before anything was asked for"

    conf.write_text(conf.read_text().replace("coffee, music", "coffee, football"))
    hang_up(running[1])
    wait_until("the second version", lambda: len(versions(postgres, database)) == 2, alive=running)
    told = running[1].log().count("SIGHUP")
    hang_up(running[1])  # nothing has changed
    wait_until("it to be read", lambda: running[1].log().count("SIGHUP") > told, alive=running)
    assert running[1].log().count("streaming from") == 2, running[1].log()
    first, second = versions(postgres, database)
    assert first["touches"] and second["ended_at"] is None and second["keywords"] == ["coffee", "football"], (first, second)
    assert first["version"] != second["version"]
    wrong = postgres.psql(f"select count(*) from roost.posts where 'football' = any(keywords) and received_at < '{second['began_at']}'", database)
    assert wrong == "0", "a keyword matched before it was in force"

    wait_until("the note that it was told", lambda: second["version"] in (conf.parent / "spool" / "keyword_versions").read_text(), alive=running)
    stop(running)
    running = start()
    rows = int(postgres.psql("select count(*) from roost.posts", database))
    wait_until("more posts", lambda: int(postgres.psql("select count(*) from roost.posts", database)) > rows, alive=running)
    assert versions(postgres, database) == [first, second] and events() == 2, "a restart tells nothing"
    stop(running)

    shutil.rmtree(conf.parent / "spool")
    running = start()
    wait_until("the telling of the new spool", lambda: events() == 3, alive=running)
    assert versions(postgres, database) == [first, second], "a new spool tells the same again"

    conf.write_text(conf.read_text().replace("[source test]", "[source other]"))
    hang_up(running[1])
    wait_until("the other source", lambda: len(versions(postgres, database)) == 3, alive=running)
    wait_until("the end of the old one", lambda: versions(postgres, database)[1]["ended_at"] is not None, alive=running)
    first, second, third = versions(postgres, database)
    assert (third["source"], third["version"], third["ended_at"]) == ("other", second["version"], None), third
    assert second["ended_at"] <= third["began_at"], (second, third)
    stop(running)
    simulator.stop()
    questions = (Path(__file__).parents[2] / "docs" / "tables.md").read_text().split("## Questions and their SQL")[1].split("\n## ")[0]
    for sql in re.findall("```sql\n(.*?)```", questions, re.DOTALL):
        postgres.psql(sql, database)
    (day,) = [sql for sql in re.findall("```sql\n(.*?)```", questions, re.DOTALL) if "'2026-03-01 00:00+00', '2026-03-02 00:00+00'" in sql]
    today = day.replace("'2026-03-01 00:00+00', '2026-03-02 00:00+00'", "now() - interval '1 day', now()")
    found = {(row["source"], row["keyword"]) for row in postgres.rows(today.strip().rstrip(";"), database)}
    assert found == {("test", "coffee"), ("test", "music"), ("test", "football"), ("other", "coffee"), ("other", "football")}, found
    assert postgres.psql("select sum(events) = (select count(*) from roost.events) from roost.batches", database) == "t"


@live_v2.hurry()
def test_v2_rules_have_their_ids_tags_and_lines_and_posts_join_with_them():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--api", "2", "--rate", "100", "--loop")
    conf = live_v2.configure(simulator.base, ["tea", "coffee", "-sugar", "= music has:hashtags"], "", database, postgres)
    roost("migrate", "-c", conf)
    listen = Process("listen", "listen", "-c", conf)
    running = [simulator, listen, Process("etl", "etl", "-c", conf)]
    wait_until("the first version", lambda: len(versions(postgres, database)) == 3, alive=running)
    packed, raw, unasked = first = versions(postgres, database)
    assert sorted(packed["keywords"]) == ["coffee", "tea"] and raw["keywords"] == ["= music has:hashtags"], first
    assert raw["rule"] == "music has:hashtags" and packed["rule"].endswith("-sugar -#sugar -@sugar"), first
    assert unasked["keywords"] == ["-sugar"] and unasked["rule"] is None and unasked["tag"] is None, first
    assert re.fullmatch(rf"roost:x:{raw['version']}:\d+", raw["tag"]) and packed["rule_id"] != raw["rule_id"] is not None, first

    (conf.parent / "kw.txt").write_text("tea\ncoffee\nmuseum\n= music has:hashtags\n")
    hang_up(listen)
    wait_until("the second version", lambda: len(versions(postgres, database)) == 5, alive=running)
    rows = versions(postgres, database)
    ended = [row for row in rows if row["ended_at"] is not None]
    second = [row for row in rows if row["ended_at"] is None]
    assert len(ended) == 3 and {row["ended_at"] for row in ended} == {second[0]["began_at"]}, rows
    kept = next(row for row in second if row["rule"] == raw["rule"])
    assert (kept["tag"], kept["rule_id"]) == (raw["tag"], raw["rule_id"]) and kept["version"] != raw["version"], "an unchanged rule keeps tag and id"
    new = next(row for row in second if row is not kept)
    wait_until("posts of the new rule", lambda: int(postgres.psql(
        f"select count(*) from roost.posts where rules @> array['{new['tag']}']", database)) > 5, alive=running)
    for process in reversed(running):
        process.stop()
    lost = postgres.psql("select count(*) from roost.posts as p where not exists (select from roost.keyword_versions as v "
                         "where coalesce(v.tag, v.rule_id) = any(p.rules) and v.network = p.network and v.source = p.source)", database)
    assert lost == "0", "posts came through rules that no version names"


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
