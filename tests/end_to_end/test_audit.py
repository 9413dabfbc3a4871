#!/usr/bin/env python3
"""`roost audit` agrees with a clean run, while it works and after, and finds and names whatever is not as it should be."""
import sys

import support
from support import Postgres, Process, Simulator, folder, recorded, roost, wait_until, write_configuration

TWEETS = 600
_run = None


def run():
    """One clean run that all tests share: (postgres, database, conf)."""
    global _run
    if _run is None:
        lines = recorded("tweets-v1.1.ndjson").read_bytes().split(b"\n")[:TWEETS]
        lines.insert(10, b'{"delete":{"status":{"id":77,"id_str":"77","user_id":8,"user_id_str":"8"}}}')
        lines.insert(20, b'{"limit":{"track":5}}')
        lines.insert(30, lines[29])  # a repeat is a duplicate, no difference
        path = folder() / "audit.ndjson"
        path.write_bytes(b"".join(line + b"\r\n" for line in lines))
        postgres = Postgres()
        database = postgres.create()
        simulator = Simulator("--file", path, "--no-filter", "--rate", "200", "--wait")
        conf = write_configuration("audit", simulator.url, database, postgres)
        roost("migrate", "-c", conf)
        running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
        wait_until("the first rows", lambda: postgres.psql("select count(*) from roost.posts", database) != "0", alive=running)
        assert "all agrees" in roost("audit", "-c", conf), "while the services run"
        wait_until("all frames", lambda: int(postgres.psql("select coalesce(sum(received), 0) from roost.batches", database)) >= len(lines),
                   alive=running)
        for process in reversed(running):
            process.stop()
        _run = postgres, database, conf
    return _run


def audit_after(statement):
    """What the audit prints after a statement, which is then undone by restoring the database from a copy."""
    postgres, database, conf = run()
    postgres.psql(f"create database kept template {database}")
    try:
        postgres.psql(statement, database)
        return roost("audit", "-c", conf, expected=1)
    finally:
        postgres.psql(f"drop database {database}")
        postgres.psql(f"create database {database} template kept")
        postgres.psql("drop database kept")


def one(statement):
    postgres, database, _ = run()
    return postgres.psql(statement, database).split("\t")


def test_a_clean_run_agrees():
    _, _, conf = run()
    output = roost("audit", "-c", conf)
    assert output.count("\n") == 1 and f"{TWEETS} posts" in output and " behind the position: all agrees" in output, output


def test_a_deleted_post_is_named():
    identifier, batch = one("select id, batch_id from roost.posts order by id limit 1 offset 100")
    output = audit_after(f"delete from roost.posts where id = '{identifier}'")
    assert f"the post x/{identifier} is not in roost.posts" in output, output
    assert f"batch {batch}: roost.batches counts" in output and output.endswith(": 2 differences\n"), output


def test_a_post_doubled_under_another_key_is_named():
    identifier, batch = one("select id, batch_id from roost.posts order by id limit 1 offset 100")
    output = audit_after("create temporary table doubled as select * from roost.posts where id = '%s';"
                         "update doubled set created_at = created_at + interval '1 ms'; insert into roost.posts select * from doubled" % identifier)
    assert f"the post x/{identifier} is in roost.posts 2 times" in output, output
    assert f"batch {batch}: roost.batches counts" in output, output


def test_progress_moved_forward_or_back_is_named():
    consumer, spool, sequence = one("select consumer, spool, sequence from roost.progress")
    output = audit_after("update roost.progress set sequence = sequence + 10")
    assert f"roost.progress of consumer {consumer} in spool {spool} is {int(sequence) + 10}, but its last batch ends at {sequence}" in output, output
    assert f"the position in spool {spool} is {int(sequence) + 10}, but the spool ends at " in output, output
    output = audit_after("update roost.progress set sequence = sequence - 1")
    assert f"frame {sequence} of spool {spool} is behind the position {int(sequence) - 1}, but in the tables already" in output, output


def test_a_deleted_event_is_named():
    (batch,) = one("select batch_id from roost.events where kind = 'delete'")
    output = audit_after("delete from roost.events where kind = 'delete'")
    assert "the event delete of source test is not in roost.events" in output and f"batch {batch}: roost.batches counts" in output, output


def test_a_batch_that_is_gone_is_a_hole_unless_a_gap_row_says_why():
    identifier, first, last, spool = one("select id, first_sequence, last_sequence, spool from roost.batches order by id limit 1 offset 1")
    gone = (f"delete from roost.batches where id = {identifier}; delete from roost.posts where batch_id = {identifier};"
            f"delete from roost.events where batch_id = {identifier};")
    hole = f"the frames {first} to {last} of spool {spool} are in no batch"
    output = audit_after(gone)
    assert hole in output and "is not in roost.posts" in output, output
    postgres, database, conf = run()
    postgres.psql(f"create database explained template {database}")
    gap = "insert into roost.gaps (source, started_at, cause, detail) values ('bridge', now(), '%s', '%s');"
    middle = (int(first) + int(last)) // 2
    postgres.psql(gone + gap % ("spool", f"frames {first} to {middle} of spool {spool} were no longer kept") +
                  gap % ("corrupt", f"frames {first} to {middle - 1} of spool {spool}") +
                  gap % ("spool_full", f"frames {middle + 1} to {last} of spool {'0' * 32}") + gap % ("network", f"frames {middle} to {last}"), "explained")
    copy = conf.parent / "explained.conf"
    copy.write_text(conf.read_text().replace(f"dbname={database}\n", "dbname=explained\n"))
    copy.chmod(0o600)
    output = roost("audit", "-c", copy, expected=1)
    assert f"{hole}, and gap rows account for {middle - int(first) + 1} of {int(last) - int(first) + 1}" in output, output
    postgres.psql(gap % ("spool_full", f"frames {middle - 1} to {int(last) + 7} were dropped"), "explained")
    assert "all agrees" in roost("audit", "-c", copy)


def test_batches_that_overlap_and_rows_of_no_batch_are_named():
    identifier, first = one("select id, first_sequence from roost.batches order by id limit 1 offset 1")
    output = audit_after(f"update roost.batches set first_sequence = first_sequence - 1 where id = {identifier}")
    assert "overlap" in output and f"the other begins at {int(first) - 1}" in output, output
    output = audit_after("insert into roost.rejects (batch_id, sequence, why, frame) values (987654, 1, 'by hand', '')")
    assert "batch 987654 is not in roost.batches, but has 0 rows in roost.posts, 0 in roost.events and 1 in roost.rejects" in output, output


def test_an_audit_that_cannot_be_done_says_so():
    postgres, _, conf = run()
    postgres.psql("create database empty")
    text = conf.read_text()
    copy = conf.parent / "empty.conf"

    def write(new):
        copy.write_text(new)
        copy.chmod(0o600)

    write(text.replace("dbname=roost1\n", "dbname=empty\n"))
    assert "roost migrate" in roost("audit", "-c", copy, expected=2)
    write(text.replace(postgres.conninfo, "host=/nowhere"))
    roost("audit", "-c", copy, expected=1)
    assert "usage" in roost("audit", "--what", expected=2)
    spool_dir = next(line for line in text.split("\n") if line.startswith("spool_dir"))
    write(text.replace(spool_dir, f"spool_dir = {folder()}/nowhere"))
    assert "so only the tables were recounted: all agrees" in roost("audit", "-c", copy)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
