#!/usr/bin/env python3
"""A listener that is stopped, or reads its configuration again, while the spool or the disk is full loses nothing that it had received."""
import os
import re
import signal
import subprocess
import sys

import reading
import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

FULL = "spool_max is reached"
NO_SPACE = "No space left on device"


def prepare(name, **options):
    """A consumer that is known and dead, a simulator that sends each tweet once, in the order of the file."""
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold")
    conf = write_configuration(name, simulator.url, database, postgres, bridge="spool_max = 16MiB", **options)
    roost("migrate", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    idle = Process("listen", "listen", "-c", quiet(conf))
    wait_until("the consumer to be known", lambda: "is consumer etl" in idle.log(), alive=[etl, idle])
    etl.kill()
    idle.stop()
    return postgres, database, simulator, conf


def silent(text):
    """The same configuration with a source that says nothing more, so that the spool has an end."""
    return re.sub(r"^url = .*$", "url = http://127.0.0.1:9/1.1/statuses/filter.json", text, flags=re.M)


def quiet(conf):
    path = conf.with_name("quiet.conf")
    path.write_text(silent(conf.read_text()))
    path.chmod(0o600)
    return path


def end_of_spool(spool):
    return int(re.search(r"^last +(\d+)$", roost("spool", spool), flags=re.M)[1])


def check(postgres, database, conf, alive, most=None):
    """Everything that the listener says it has received is in the tables, once: the first tweets of the file, none left out."""
    spool = conf.parent / "spool"
    wait_until("all that the spool has", lambda: int(postgres.psql("select coalesce(max(sequence), 0) from roost.progress", database))
               >= end_of_spool(spool), alive=alive)
    received, posts, others = (int(v or 0) for v in postgres.psql(
        "select sum((body->>'received')::bigint), sum((body->>'posts')::bigint), sum((body->>'events')::bigint + (body->>'filtered')::bigint"
        " + (body->>'repeated')::bigint + (body->>'unreadable')::bigint) from roost.events where kind = 'count'", database).split("\t"))
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    assert 100 < posts < (most or len(tweets)), f"{posts} posts: it was to be stopped in the middle"
    assert received == posts + others, f"{received} messages received, {posts} posts and {others} others taken"
    found = postgres.rows("select id, text from roost.posts", database)
    assert len(found) == posts, f"{len(found)} rows of {posts} posts"
    assert {r["id"]: r["text"] for r in found} == {t["id_str"]: reading.full_text(t) for t in tweets[:posts]}
    assert postgres.psql("select coalesce(sum(duplicate), 0), coalesce(sum(rejected), 0) from roost.batches", database) == "0\t0"
    assert postgres.psql("select count(*) from roost.gaps where undelivered is not null", database) == "0"
    return posts


def stop_impatiently(listen):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        listen.child.send_signal(number)
    listen.stop()


def stop_and_start_with_room(postgres, database, simulator, conf, why, room=lambda: None):
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the spool to be full", lambda: why in listen.log(), alive=[simulator, listen])
    before = end_of_spool(conf.parent / "spool")
    stop_impatiently(listen)
    assert "are lost" not in listen.log(), listen.log()
    assert not (conf.parent / "spool/reserve").exists()
    assert end_of_spool(conf.parent / "spool") > before, "what waited was appended"
    room()
    running = [Process("listen", "listen", "-c", quiet(conf)), Process("etl", "etl", "-c", conf)]
    posts = check(postgres, database, conf, running)
    print(f"{posts} posts, {end_of_spool(conf.parent / 'spool') - before} frames written by the stop and after it", flush=True)
    for process in running:
        process.stop()


def test_a_stop_with_a_full_spool_loses_nothing():
    stop_and_start_with_room(*prepare("full", source="store_raw = yes"), FULL)


def hang_up_and_make_room(postgres, database, simulator, conf, why):
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the spool to be full", lambda: why in listen.log(), alive=[simulator, listen])
    other = support.folder() / "other.ndjson"
    other.write_text('{"id_str":"1","text":"nothing that was asked for","user":{"id_str":"7"}}\n')
    quiet_one = Simulator("--file", other, "--at-end", "hold", "--keep-alive", "0.2")
    conf.write_text(conf.read_text().replace(simulator.url, quiet_one.url))
    listen.child.send_signal(signal.SIGHUP)
    wait_until("the reload to wait", lambda: "it waits until" in listen.log(), alive=[simulator, listen])
    listen.child.send_signal(signal.SIGHUP)
    wait_until("the second one, too", lambda: listen.log().count("it waits until") == 2, alive=[simulator, listen])
    assert quiet_one.log().count("-> 200") == 0
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the reload, once there is room", lambda: listen.log().count("streaming from") == 2, alive=[listen, etl])
    assert simulator.log().count("-> 200") == 1
    listen.stop()  # the old stream went on while the new one was asked for
    listen = Process("listen", "listen", "-c", conf)
    check(postgres, database, conf, [listen, etl], most=6000)
    gaps = postgres.rows("select cause, ended_at - started_at < interval '1 s' as short from roost.gaps where cause <> 'stopped'", database)
    assert gaps == [{"cause": "reload", "short": True}], gaps
    quiet_one.stop()
    etl.stop()
    listen.stop()


def test_a_reload_with_a_full_spool_waits_for_room_and_loses_nothing():
    hang_up_and_make_room(*prepare("reload", source="store_raw = yes"), FULL)


def on_a_small_disk(name, check_there, *arguments):
    if os.geteuid() != 0:
        print("skipped: a file system of its own for the spool needs root", flush=True)
        return
    spool = support.folder() / name / "spool"
    spool.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "roost-test", str(spool)], stderr=subprocess.DEVNULL).returncode:
        print("skipped: no tmpfs can be mounted here", flush=True)
        return
    try:
        check_there(*prepare(name), *arguments)
    finally:
        for process in support._processes:
            if process.poll() is None:
                process.kill()
        subprocess.run(["umount", "-l", str(spool)], check=False)


def test_a_stop_with_a_full_disk_loses_nothing():
    spool = support.folder() / "disk/spool"
    grow = ["mount", "-o", "remount,size=16m", str(spool)]
    on_a_small_disk("disk", stop_and_start_with_room, NO_SPACE, lambda: subprocess.run(grow, check=True))


def test_a_reload_with_a_full_disk_waits_for_room_and_loses_nothing():
    on_a_small_disk("reloaddisk", hang_up_and_make_room, NO_SPACE)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
