#!/usr/bin/env python3
"""The gap ledger: what was done to a source, and to its listener, stands in roost.gaps with cause, start and end."""
import json
import pathlib
import sys
import time

import support
from support import Postgres, Process, Simulator, recorded, roost, wait_until, write_configuration

# Between a doing and its row lie the listener's own second (it is noted as alive each 0.9 s) and a loaded machine.
NEAR = 3.0
KILLER = pathlib.Path(support.ROOST).parent / "tests/power_loss.so"  # kills at an exact operation on files


def gaps(postgres, database):
    return postgres.rows("select source, cause, detail, undelivered, extract(epoch from started_at)::float8 as began,"
                         " extract(epoch from ended_at)::float8 as ended from roost.gaps order by started_at, ended_at", database)


def await_gaps(postgres, database, causes, alive):
    def found():
        rows = [r for r in gaps(postgres, database) if r["cause"] != "limit"]
        return rows if [r["cause"] for r in rows] == causes else None
    try:
        return wait_until(f"the gaps {causes}", found, alive=alive)
    except AssertionError:
        print([(r["cause"], r["detail"]) for r in gaps(postgres, database)])
        raise


def near(found, done, what):
    assert abs(found - done) < NEAR, f"{what}: {found - done:+.3f} s from when it was done"


def streams(listen):
    wait_until("the stream", lambda: "streaming " in listen.log(), alive=[listen])
    return time.time()


def lives_noted(conf):
    """The ledger says that the source streams and was alive a moment ago."""
    path = conf.parent / "spool/sources"
    text = path.read_text() if path.exists() else ""
    return '"legs":[]' in text and '"running":true' in text


def server_again(port, *arguments):
    """A server where the killed one was."""
    simulator = Process("simulator", "simulate", "--listen", f"127.0.0.1:{port}", "--rate", "50", "--loop", *arguments)
    wait_until("the simulator to listen", lambda: "listening on http" in simulator.log(), alive=[simulator])
    return simulator


def prepare(name, *arguments):
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator(*arguments)
    conf = write_configuration(name, simulator.url, database, postgres, keywords="coffee, music", source="change_interval = 1s")
    roost("migrate", "-c", conf)
    return postgres, database, simulator, conf


def test_stops_kills_reloads_and_lost_networks_are_gaps_with_their_times():
    postgres, database, simulator, conf = prepare("lives", "--rate", "50", "--loop")
    etl = Process("etl", "etl", "-c", conf)
    listen = Process("listen", "listen", "-c", conf)
    first = streams(listen)

    # A clean stop.
    stopped = time.time()
    listen.stop()
    listen = Process("listen", "listen", "-c", conf)
    back = streams(listen)
    rows = await_gaps(postgres, database, ["stopped"], [simulator, etl, listen])
    near(rows[0]["began"], stopped, "the stop")
    near(rows[0]["ended"], back, "the start after it")

    # A kill.
    wait_until("the ledger", lambda: lives_noted(conf), alive=[listen])
    killed = time.time()
    listen.kill()
    listen = Process("listen", "listen", "-c", conf)
    back = streams(listen)
    rows = await_gaps(postgres, database, ["stopped", "killed"], [simulator, etl, listen])
    near(rows[1]["began"], killed, "the kill")
    near(rows[1]["ended"], back, "the start after it")

    # The server goes away; the listener is killed in that outage, stopped in it, and comes back with the server.
    wait_until("the ledger", lambda: lives_noted(conf), alive=[listen])
    gone = time.time()
    port = simulator.base.rsplit(":", 1)[1]
    simulator.kill()
    wait_until("the outage to be noted", lambda: '"cause":"network"' in (conf.parent / "spool/sources").read_text(), alive=[listen])
    killed = time.time()
    listen.kill()
    listen = Process("listen", "listen", "-c", conf)
    wait_until("a failed attempt", lambda: "; next attempt" in listen.log(), alive=[listen])
    failed = time.time()
    stopped = time.time()
    listen.stop()
    simulator = server_again(port)
    listen = Process("listen", "listen", "-c", conf)
    back = streams(listen)
    causes = ["stopped", "killed", "network", "killed", "network", "stopped"]
    outage = await_gaps(postgres, database, causes, [simulator, etl, listen])[2:]
    for row, when, what in zip(outage, [gone, killed, failed, stopped], ["the server's end", "the kill", "the failure", "the stop"]):
        near(row["began"], when, what)
    near(outage[-1]["ended"], back, "the stream after the outage")
    for before, after in zip(outage, outage[1:]):
        assert before["ended"] == after["began"], "rows of one outage touch"

    # Another configuration: the new stream is opened beside the old one, so the row has next to no length.
    hung_up = time.time()
    conf.write_text(conf.read_text().replace("coffee, music", "coffee, football"))
    listen.child.send_signal(support.signal.SIGHUP)
    rows = await_gaps(postgres, database, causes + ["reload"], [simulator, etl, listen])
    near(rows[-1]["began"], hung_up, "the hang-up")
    assert rows[-1]["ended"] - rows[-1]["began"] < 1, rows[-1]
    listen.stop()
    end = time.time()
    wait_until("the last count", lambda: postgres.psql(
        f"select max((body->>'to')::timestamptz) > to_timestamp({end - NEAR}) from roost.events where kind = 'count'", database) == "t", alive=[etl])
    covered, missed = postgres.psql("select sum(covered_seconds)::float8, sum(gap_seconds)::float8 from roost.coverage where source = 'test'",
                                    database).split("\t")
    total = sum(r["ended"] - r["began"] for r in rows)
    assert abs(float(missed) - total) < 0.01, "gaps do not overlap"
    assert abs(float(covered) + float(missed) - (end - first)) < NEAR, f"{covered} s heard + {missed} s missed of {end - first} s"
    etl.stop()
    simulator.stop()


def events(spool, kind):
    out = roost("spool", "--cat", spool, text=False).decode(errors="replace")
    return [record for record in map(json.loads, filter(lambda line: line.startswith("{"), out.split("\n"))) if record["kind"] == kind]


def entry(conf):
    """The source's, in the ledger's file."""
    return json.loads((conf.parent / "spool/sources").read_text())


def test_a_kill_at_any_moment_of_a_sources_first_stream_leaves_no_post_without_a_gap_behind_it():
    if not KILLER.exists():
        support.skip(f"there is no {KILLER}")
    simulator = Simulator("--rate", "2000", "--loop", "--no-filter")
    with_posts = 0
    for operation in range(25, 60):
        conf = write_configuration(f"first{operation}", simulator.url, bridge="spool_sync = 20ms")
        environment = {"LD_PRELOAD": str(KILLER), "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0", "POWER_LOSS_FOLDER": str(conf.parent),
                       "POWER_LOSS_ONLY_KILLED": "1", "POWER_LOSS_AFTER": str(operation)}
        Process("killed", "listen", "-c", conf, environment=environment).end(-9)
        if not events(conf.parent / "spool", "post"):
            continue
        with_posts += 1
        listen = Process("listen", "listen", "-c", conf)
        streams(listen)
        listen.stop()
        told = [gap["body"]["cause"] for gap in events(conf.parent / "spool", "gap") if gap["body"]["cause"] != "limit"]
        assert told == ["killed"], f"killed at its operation {operation} on files, with posts in the spool: gaps {told}"
        if with_posts == 8:
            break
    assert with_posts == 8, f"{with_posts} kills with posts in the spool"
    simulator.stop()


def test_a_listener_that_is_killed_as_soon_as_it_streams_climbs_the_network_ladder():
    simulator = Simulator("--rate", "50", "--loop", "--no-filter")
    conf = write_configuration("loop", simulator.url)
    for kills in range(5):
        began = time.time()
        listen = Process("listen", "listen", "-c", conf)
        streams(listen)
        wait_until("the ledger", lambda: lives_noted(conf) and entry(conf)["ladder"]["from"]["wall"] / 1000 > began, alive=[listen])
        # The first kill is as a lost stream that had earned a new connection at once; the later ones had not.
        steps = entry(conf)["ladder"]["steps"]
        assert steps[0] == max(0, kills - 1), f"steps {steps} after {kills} kills"
        listen.kill()
    simulator.stop()


def test_cuts_and_refused_attempts_are_gaps_of_the_network():
    postgres, database, simulator, conf = prepare("cuts", "--rate", "100", "--loop", "--cut-after", "60")
    running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
    wait_until("two cuts", lambda: len([r for r in gaps(postgres, database) if r["cause"] == "network"]) >= 2, alive=running)
    for process in reversed(running):
        process.stop()
    for row in gaps(postgres, database):
        assert row["source"] == "test" and row["began"] <= row["ended"], row
        assert (row["undelivered"] is None) == (row["cause"] != "limit"), row


def test_answers_that_refuse_before_the_first_stream_are_no_gap_and_after_it_they_are():
    postgres, database, simulator, conf = prepare("answers", "--rate", "50", "--loop", "--answer", "503:1")
    etl = Process("etl", "etl", "-c", conf)
    listen = Process("listen", "listen", "-c", conf)
    streams(listen)
    port = simulator.base.rsplit(":", 1)[1]
    gone = time.time()
    simulator.kill()
    simulator = server_again(port, "--answer", "503:2")
    wait_until("the stream after the refusals", lambda: "-> 200" in simulator.log(), alive=[simulator, listen])
    back = time.time()
    rows = await_gaps(postgres, database, ["network"], [simulator, etl, listen])
    near(rows[0]["began"], gone, "the server's end")
    near(rows[0]["ended"], back, "the stream after the refusals")
    assert rows[0]["ended"] - rows[0]["began"] > 3, "the ladder of refusals was climbed meanwhile"
    for process in (listen, etl, simulator):
        process.stop()


def test_limit_notices_are_rows_that_sum_up_to_what_was_left_out():
    postgres, database, simulator, conf = prepare("limits", "--rate", "400", "--loop", "--limit-rate", "5")
    running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
    wait_until("three limits", lambda: len(gaps(postgres, database)) >= 3, alive=running)
    for process in reversed(running[1:]):
        process.stop()
    etl = Process("etl", "etl", "-c", conf)  # what came last is in the spool
    listen = Process("listen", "listen", "-c", conf)
    await_gaps(postgres, database, ["stopped"], [simulator, etl, listen])
    for process in (listen, etl, simulator):
        process.stop()
    # In the first connection: all that came before the stop.
    told = postgres.psql("select max((body->'limit'->>'track')::bigint) from roost.events, (select min(started_at) as at from roost.gaps"
                         " where cause = 'stopped') as stop where kind = 'limit' and received_at < stop.at", database)
    rows = [r for r in gaps(postgres, database) if r["cause"] in ("limit", "stopped")]
    rows = rows[:[r["cause"] for r in rows].index("stopped")]
    assert sum(r["undelivered"] for r in rows) == int(told), (told, rows)
    for before, after in zip(rows, rows[1:]):
        assert abs(before["ended"] - after["began"]) < 0.01, "each goes on where the notice before it came"


def test_a_restored_database_gets_a_row_for_the_frames_it_lacks():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold")
    conf = write_configuration("restored", simulator.url, database, postgres, bridge="spool_max = 16MiB")
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    segments = lambda: {p.name for p in (conf.parent / "spool").glob("segment-*")}
    wait_until("all rows", lambda: postgres.psql("select count(*) from roost.posts", database) == "5982", alive=[simulator, listen, etl])
    wait_until("acknowledged segments to go", lambda: f"segment-{1:020}.v1" not in segments(), alive=[listen, etl])
    etl.stop()
    postgres.psql("update roost.progress set sequence = 10", database)
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the gap", lambda: len(gaps(postgres, database)) == 1, alive=[listen, etl])
    assert "no longer kept" in etl.log()
    row = gaps(postgres, database)[0]
    assert row["cause"] == "spool" and row["source"] == "" and "consumer etl" in row["detail"], row
    progress = int(postgres.psql("select sequence from roost.progress", database))
    assert 0 < row["undelivered"] <= progress - 10
    etl.stop()
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the etl to be connected", lambda: "reading spool" in etl.log(), alive=[listen, etl])
    assert "no longer kept" not in etl.log() and len(gaps(postgres, database)) == 1, "told once"
    for process in (etl, listen, simulator):
        process.stop()
    bad = postgres.psql("select count(*) from roost.batches where received <> loaded + duplicate + filtered + rejected + events", database)
    assert bad == "0"


def test_frames_dropped_while_the_consumer_was_away_are_counted_once():
    postgres = Postgres()
    database = postgres.create()
    flood = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--at-end", "hold")
    simulator = Simulator("--rate", "50", "--loop", "--no-filter")
    conf = write_configuration("dropped", simulator.url, database, postgres, bridge="spool_max = 16MiB\nwhen_full = drop_oldest",
                               source="store_raw = yes")
    roost("migrate", "-c", conf)
    listen, etl = Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)
    wait_until("rows", lambda: postgres.psql("select count(*) > 10 from roost.posts", database) == "t", alive=[simulator, listen, etl])
    etl.kill()
    conf.write_text(conf.read_text().replace(simulator.url, flood.url))
    listen.child.send_signal(support.signal.SIGHUP)
    number = lambda word: int(next(line for line in roost("spool", conf.parent / "spool").splitlines() if line.startswith(word)).split()[1])
    position = int(postgres.psql("select max(sequence) from roost.progress", database))
    wait_until("frames that it lacks to be dropped", lambda: number("first") > position + 100, alive=[simulator, listen])
    etl = Process("etl", "etl", "-c", conf)
    told = lambda: {r["cause"] for r in gaps(postgres, database)} >= {"spool", "spool_full"}
    wait_until("the end of the stream", lambda: number("last") >= position + 5982, alive=[flood, listen, etl])
    wait_until("all that is left", lambda: told() and int(postgres.psql("select max(sequence) from roost.progress", database)) >= number("last"),
               alive=[simulator, listen, etl])
    etl.stop()
    rows = gaps(postgres, database)
    lacking = postgres.psql("select max(last_sequence) - sum(received - filtered) + (select count(*) from roost.gaps where cause = 'spool')"
                            " from roost.batches", database)
    assert sum(r["undelivered"] or 0 for r in rows) == int(lacking) > 0, (lacking, rows)
    for process in (listen, simulator, flood):
        process.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
