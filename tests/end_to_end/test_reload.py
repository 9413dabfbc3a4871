#!/usr/bin/env python3
"""SIGHUP: new keywords come into force without losing the bridge; a mistake keeps the old configuration; restart keys are named."""
import signal
import sys

import support
from support import Postgres, Process, Simulator, roost, wait_until, write_configuration


def hang_up(process):
    process.child.send_signal(signal.SIGHUP)


def test_new_keywords_are_asked_for_and_mistakes_change_nothing():
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("reload", simulator.url, keywords="coffee, music", source="change_interval = 1s")
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the stream", lambda: listen.log().count("streaming from") == 1, alive=[simulator, listen])
    right = conf.read_text()

    conf.write_text(right.replace("keywords = coffee, music", 'keywords = "open'))
    hang_up(listen)
    wait_until("the mistake to be named", lambda: "old one stays in force" in listen.log(), alive=[listen])
    assert "roost.conf:" in listen.log()
    assert listen.log().count("streaming from") == 1, "a mistake changes nothing"

    conf.write_text(right.replace("coffee, music", "football").replace("[bridge]", "[bridge]\nend_marker = other_end"))
    hang_up(listen)
    wait_until("the new stream", lambda: listen.log().count("streaming from") == 2, alive=[simulator, listen])
    assert "end_marker" in listen.log() and "restart" in listen.log()
    tail = Process("tail", "tail", "--raw", conf.parent / "bridge.sock")
    wait_until("posts by the new keyword", lambda: tail.log().count(" __end\n") > 20, alive=[listen, tail])
    tail.stop()
    listen.stop()
    simulator.stop()


def test_etl_outlives_a_hang_up_and_names_what_needs_a_restart():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("etl", simulator.url, database, postgres, keywords="coffee, music")
    roost("migrate", "-c", conf)
    running = [simulator, Process("listen", "listen", "-c", conf), Process("etl", "etl", "-c", conf)]
    etl = running[2]
    wait_until("rows", lambda: postgres.psql("select count(*) > 10 from roost.posts", database) == "t", alive=running)
    conf.write_text(conf.read_text().replace("batch_interval = 200ms", "batch_interval = 300ms"))
    hang_up(etl)
    wait_until("the warning", lambda: "batch_interval" in etl.log(), alive=running)
    before = int(postgres.psql("select count(*) from roost.posts", database))
    wait_until("more rows", lambda: int(postgres.psql("select count(*) from roost.posts", database)) > before, alive=running)
    for process in reversed(running):
        process.stop()


def test_a_stray_signal_does_not_make_etl_deaf_to_the_stop():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--rate", "10", "--loop")
    conf = write_configuration("stray", simulator.url, database, postgres, keywords="coffee")
    roost("migrate", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    wait_until("the start", lambda: "started" in etl.log(), alive=[etl])
    etl.child.send_signal(signal.SIGUSR2)
    etl.stop(patience=20)
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
