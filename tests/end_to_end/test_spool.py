#!/usr/bin/env python3
"""The spool keeps what it held through kills and a full disk; it can be looked into, and consumers be forgotten, meanwhile."""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

LONG = os.environ.get("ROOST_LONG") == "1"
SEED = int(os.environ.get("ROOST_SEED", random.SystemRandom().randrange(1 << 32)))


def look(spool):
    """What `roost spool` prints, as a dictionary; `damage` is a list of lines, `consumers` name -> (acknowledged, behind)."""
    found = {"damage": [], "consumers": {}}
    for line in roost("spool", spool).splitlines():
        word, rest = line[:11].strip(), line[11:]
        if word == "consumer":
            consumer = re.fullmatch(r"(\S+) +acknowledged (\d+)   behind by (\d+) frames", rest)
            if consumer:
                found["consumers"][consumer[1]] = (int(consumer[2]), int(consumer[3]))
        elif word == "damage":
            found["damage"] += [rest] if rest != "none" else []
        else:
            found[word] = rest if word in ("spool", "identity") else int(rest)
    return found


def posts(spool, *options):
    """id -> text of the posts that `roost spool --cat` prints."""
    done = subprocess.run([support.ROOST, "spool", "--cat", *map(str, options), str(spool)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=support.PATIENCE)
    assert done.returncode == 0, done.stderr.decode()
    records = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    return {r["id"]: r["text"] for r in records if r["kind"] == "post"}


def rows(postgres, database):
    found = postgres.rows("select id, text from roost.posts", database)
    texts = {r["id"]: r["text"] for r in found}
    assert len(texts) == len(found), "none twice"
    return texts


def progress(postgres, database):
    found = postgres.psql("select coalesce(max(sequence), 0) from roost.progress", database, check=False)
    return int(found) if found else 0


def check_rows(postgres, database, held):
    loaded = rows(postgres, database)
    lost = {i for i, text in held.items() if loaded.get(i) != text}
    assert not lost, f"{len(lost)} of {len(held)} held posts are not in the table as they were, such as {sorted(lost)[:3]}"
    bad = postgres.psql("select count(*) from roost.batches where received <> loaded + duplicate + filtered + rejected + events", database)
    assert bad == "0"
    return loaded


def start_listener(conf):
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the bridge to listen", lambda: "listening on" in listen.log(), alive=[listen])
    return listen


def damage_beside_cuts(found):
    """A frame whose writing a kill cut short is gone, and its number with it; it was never held."""
    return [d for d in found["damage"] if not d.startswith("missing")]


def test_a_killed_listener_loses_nothing_that_it_held():
    print(f"seed {SEED} (ROOST_SEED repeats it)", flush=True)
    chance = random.Random(SEED)
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--fresh-ids", "--loop")
    conf = write_configuration("kills", simulator.url, database, postgres)
    spool = conf.parent / "spool"
    roost("migrate", "-c", conf)
    listen, etl = start_listener(conf), Process("etl", "etl", "-c", conf)
    wait_until("the etl to load", lambda: progress(postgres, database) > 0, alive=[simulator, listen, etl])
    ever_held, held, seen = {}, 0, 0
    for _ in range(40 if LONG else 8):
        time.sleep(chance.uniform(0, 0.7))  # the random moment; nothing is waited for
        while_running = look(spool)
        assert not damage_beside_cuts(while_running), f"a look at a running spool takes nothing for damage: {while_running}"
        listen.kill()
        killed = look(spool)
        assert killed["held"] >= while_running["held"] >= held
        held = killed["held"]
        ever_held.update(posts(spool, "--from", seen + 1, "--to", held) if held > seen else {})
        seen = held
        listen = start_listener(conf)
        again = look(spool)
        assert not damage_beside_cuts(again), again
        assert again["held"] >= held and again["identity"] == killed["identity"]
        held = again["held"]
    listen.stop()
    end = look(spool)
    ever_held.update(posts(spool, "--from", seen + 1))
    listen = start_listener(quiet(conf))
    wait_until("the etl to have everything", lambda: progress(postgres, database) >= end["last"], alive=[simulator, listen, etl])
    etl.stop()
    listen.stop()
    loaded = check_rows(postgres, database, ever_held)
    print(f"{len(ever_held)} posts held, {len(loaded)} rows", flush=True)
    if end["first"] == 1:
        assert set(loaded) == set(ever_held), "and nothing is in the table that was not in the spool"
    assert postgres.psql("select sum(duplicate) from roost.batches", database) == "0"


def quiet(conf):
    """The same configuration with a source that says nothing more, so that the spool has an end."""
    text = re.sub(r"^url = .*$", "url = http://127.0.0.1:9/1.1/statuses/filter.json", conf.read_text(), flags=re.M)
    path = conf.with_name("quiet.conf")
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_full_disk_stops_the_stream_until_acknowledgements_make_room():
    if os.geteuid() != 0:
        print("skipped: a file system of its own for the spool needs root", flush=True)
        return
    home = support.folder() / "full"
    home.mkdir()
    spool = home / "spool"
    spool.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "roost-test", str(spool)], stderr=subprocess.DEVNULL).returncode:
        print("skipped: no tmpfs can be mounted here", flush=True)
        return
    try:
        check_full_disk(spool)
    finally:
        for process in support._processes:
            if process.poll() is None:
                process.kill()
        subprocess.run(["umount", "-l", str(spool)], check=False)


def check_full_disk(spool):
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold")
    conf = write_configuration("full", simulator.url, database, postgres, bridge="spool_max = 16MiB")
    roost("migrate", "-c", conf)
    listen = start_listener(conf)
    full = "takes no posts: No space left on device"
    wait_until("the disk to be full", lambda: full in listen.log(), alive=[simulator, listen])
    stopped = look(spool)
    assert not stopped["damage"], stopped
    wait_until("what was taken to be held", lambda: look(spool)["held"] == stopped["last"], alive=[simulator, listen])
    held = posts(spool)
    assert 0 < len(held) < 5982
    assert look(spool)["last"] == stopped["last"], "nothing more is read"
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the rest, without any help", lambda: len(rows(postgres, database)) >= 5982, alive=[simulator, listen, etl])
    assert listen.log().count(full) <= 1 + listen.log().count("the spool takes posts again"), "each stop is said once"
    assert "the spool takes posts again" in listen.log()
    assert not look(spool)["damage"]
    etl.stop()
    listen.stop()
    loaded = check_rows(postgres, database, held)
    assert len(loaded) == 5982, "nothing is lost"


def test_consumers_are_listed_and_forgotten_with_and_without_a_listener():
    simulator = Simulator("--sample-count", "200", "--no-filter", "--at-end", "hold")
    conf = write_configuration("consumers", simulator.url, etl="consumer = spare")
    spool = conf.parent / "spool"
    listen = start_listener(conf)
    wait_until("the stream", lambda: look(spool)["held"] >= 200, alive=[simulator, listen])
    assert "none is known" in roost("consumer", "list", "-c", conf)

    def known():
        return roost("consumer", "list", "-c", conf)

    etl = Process("etl", "etl", "-c", conf)
    wait_until("the etl to be known", lambda: look(spool)["consumers"].get("spare", (0, 1))[1] == 0, alive=[listen, etl])
    assert re.search(r"consumer   spare   acknowledged \d+   behind by 0 frames", known())
    assert "is connected" in roost("consumer", "forget", "spare", "-c", conf, expected=1)
    etl.stop()
    assert roost("consumer", "forget", "spare", "-c", conf) == "consumer spare is forgotten\n"
    assert "none is known" in known()
    assert "knows no consumer spare" in roost("consumer", "forget", "spare", "-c", conf, expected=2)
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the etl to be known again", lambda: "spare" in known(), alive=[listen, etl])
    etl.stop()
    listen.stop()
    assert roost("consumer", "forget", "spare", "-c", conf) == "consumer spare is forgotten\n"
    assert "none is known" in known()
    assert "knows no consumer spare" in roost("consumer", "forget", "spare", "-c", conf, expected=2)


def test_the_command_says_what_is_wrong():
    empty = tempfile.mkdtemp(dir=support.folder())
    assert "no spool is in" in roost("spool", empty, expected=2)
    assert "No such file" in roost("spool", f"{empty}/nothing", expected=2)
    assert "usage" in roost("spool", expected=2)
    assert "usage" in roost("spool", empty, "--from", "3", expected=2)
    assert "usage" in roost("spool", empty, "--cat", "--from", "3", "--to", "2", expected=2)
    assert "usage" in roost("consumer", "forget", expected=2)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
