#!/usr/bin/env python3
"""The command line keeps its promises: helps, exit statuses, samples, tail."""
import os
import re
import subprocess
import sys

import support
from support import (API_KEY, Postgres, Process, SOURCE, Simulator, folder, roost, wait_until, write_configuration)

COMMANDS = ("listen", "etl", "run", "migrate", "check", "simulate", "tail", "rules")


def test_every_subcommand_has_help_and_the_version_is_the_projects():
    listed = roost("--help")
    for command in COMMANDS:
        assert f"roost {command}" in listed
        assert f"roost {command}" in roost(command, "--help")
    project = re.search(r"project\(roost VERSION ([0-9.]+)", (SOURCE / "CMakeLists.txt").read_text()).group(1)
    assert roost("--version").startswith(f"roost {project}")


def test_misuse_ends_with_2_and_says_how():
    for arguments in ((), ("nonsense",), ("listen", "--nonsense"), ("check", "a", "b"), ("simulate", "--rate", "x"),
                      ("tail", "no port"), ("migrate", "-c")):
        output = roost(*arguments, expected=2)
        assert "roost" in output or "address" in output, (arguments, output)


def test_the_samples_are_read_without_a_mistake_but_the_secrets_that_are_the_users():
    output = roost("check", "-c", SOURCE / "config/roost.conf", expected=2)
    mistakes = [line for line in output.splitlines() if re.search("roost.conf:[0-9]", line)]
    assert len(mistakes) == 4 and all("_file: cannot read" in line for line in mistakes), output


def test_etl_on_a_database_without_tables_ends_with_2_and_says_migrate():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator()
    conf = write_configuration("bare", simulator.url, database, postgres)
    alone = Process("etl", "etl", "-c", conf)
    alone.end(2)
    assert "roost migrate" in alone.log(), "also while no bridge is there"
    listen = Process("listen", "listen", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    etl.end(2)
    assert "roost migrate" in etl.log()
    roost("migrate", "-c", conf)
    roost("migrate", "-c", conf)  # twice is fine
    listen.stop()


def test_run_starts_both_and_one_signal_ends_both():
    postgres = Postgres()
    database = postgres.create()
    simulator = Simulator("--rate", "300", "--loop")
    conf = write_configuration("both", simulator.url, database, postgres, keywords="coffee, music, football, climate")
    roost("migrate", "-c", conf)
    both = Process("run", "run", "-c", conf)
    wait_until("rows", lambda: int(postgres.psql("select count(*) from roost.posts", database)) > 50, alive=[simulator, both])
    both.stop()


def test_tail_shows_batches_as_pprint_does_and_raw_as_it_crosses():
    port = support.free_port()
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("tail", simulator.url, keywords="coffee, music, football, climate", bridge=f"listen = 127.0.0.1:{port}")
    listen = Process("listen", "listen", "-c", conf)
    tail = Process("tail", "tail", f"127.0.0.1:{port}")
    raw = Process("raw", "tail", "--raw", f"127.0.0.1:{port}")
    frame = re.compile(r"^-{43}\nTime: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n-{43}\n(?:.+\n){10}\.\.\.\n\n", re.M)
    wait_until("a full batch", lambda: frame.search(tail.log()), alive=[simulator, listen, tail])
    wait_until("raw frames", lambda: raw.log().count(" __end\n") > 20, alive=[simulator, listen, raw])
    shown = [line for line in raw.log().split("\n")[:-1] if not re.match(r"\d\d:\d\d:\d\d .*tail", line)]
    assert all(line.endswith(" __end") for line in shown), shown[:3]
    tail.stop()
    raw.stop()
    listen.stop()


def test_a_wrong_secret_ends_listen_with_2_and_says_why_without_it():
    simulator = Simulator()
    conf = write_configuration("wrong", simulator.url)
    conf.write_text(conf.read_text().replace(support.API_SECRET, "wr0ng-secret"))
    listen = Process("listen", "listen", "-c", conf)
    listen.end(2)
    assert "401" in listen.log() and "wr0ng-secret" not in listen.log() and support.ACCESS_SECRET not in listen.log()
    assert 1 <= simulator.log().count("-> 401") <= 3, "at most three attempts"


def test_logs_hold_no_secret_and_no_post_text():
    simulator = Simulator("--rate", "200", "--loop")
    conf = write_configuration("quiet", simulator.url, keywords="coffee, music, football, climate")
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the stream", lambda: "connected" in listen.log() or "streaming" in listen.log(), alive=[simulator, listen])
    listen.stop()
    for secret in (support.API_SECRET, support.ACCESS_SECRET, support.ACCESS_TOKEN, API_KEY):
        assert secret not in listen.log()


def test_a_second_listener_on_the_same_spool_refuses():
    simulator = Simulator("--rate", "10", "--loop")
    conf = write_configuration("locked", simulator.url)
    first = Process("listen", "listen", "-c", conf)
    wait_until("the bridge to listen", lambda: "listening" in first.log(), alive=[first])
    second = Process("second", "listen", "-c", conf)
    second.child.wait(support.PATIENCE)
    assert second.returncode in (1, 2) and "spool" in second.log(), second.log()
    first.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
