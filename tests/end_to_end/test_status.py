#!/usr/bin/env python3
"""What the service manager and `roost status` are told: ready, status, exit statuses, the watched picture."""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time

import support
from support import PATIENCE, ROOST, Process, folder, wait_until
from watched import Manager, picture, prepare, status, wait_ready


def test_both_services_are_fine_and_say_what_they_do():
    conf, simulator, services = prepare("fine")
    listen, etl = services["listen"], services["etl"]
    wait_ready(listen, etl)
    value = wait_until("posts in the tables", lambda: (lambda v: v if v["status"] == "ok" and v["etl"]["totals"]["posts"] > 20 else None)(picture(conf)),
                       alive=[listen, etl])
    source, spool, consumer = value["listen"]["sources"][0], value["listen"]["spool"], value["listen"]["consumers"][0]
    assert source["state"] == "streaming" and source["posts_per_second"] > 5 and source["posts_last_hour"] >= source["posts"] > 20, source
    assert source["last_post"] and re.fullmatch("[0-9a-f]{8}", source["keyword_version"]), source
    assert spool["held"] >= spool["first"] == 1 and spool["max_bytes"] == 4 << 30 and spool["when_full"] == "stop" and not spool["full"], spool
    assert consumer["name"] == "etl" and consumer["connected"] and 0 < consumer["position"] <= spool["held"], consumer
    last = value["etl"]["last_batch"]
    assert last["received"] == last["posts"] + last["events"] and last["loaded"] + last["duplicates"] + last["rejected"] == last["posts"], last
    assert value["etl"]["bridges"][0]["state"] == "connected" and value["etl"]["sinks"][0]["state"] == "ready", value["etl"]
    assert value["etl"]["today"]["posts"] == value["etl"]["totals"]["posts"], value["etl"]
    code, text, _ = status(conf)
    first = text.splitlines()[0]
    assert code == 0 and re.match(r"roost OK: connected \d+ s, [\d.]+ posts/s, \d+ behind \| sources=1;;;0;1 posts_per_second=", first), first
    assert "\033" not in text, "no colour without a terminal"
    wait_until("a status line that says something", lambda: re.match(r"connected \d+ (s|min), \d+(\.\d)? posts/s, \d+ behind$",
                                                                     listen.manager.last_status()), alive=[listen])
    wait_until("the same of etl", lambda: re.match(r"\d+(\.\d)? posts/s, \d+ waiting, last batch \d+ s ago$", etl.manager.last_status()), alive=[etl])
    for process in (listen, etl):
        wait_until("feeds", lambda p=process: p.manager.messages().count("WATCHDOG=1") > 5, alive=[process])
    runtime = folder() / "fine-run"
    assert sorted(p.name for p in runtime.iterdir()) == ["roost.etl.status", "roost.listen.status"]
    etl.stop()
    listen.stop()
    assert "STOPPING=1" in listen.manager.messages() and "STOPPING=1" in etl.manager.messages()
    assert list(runtime.iterdir()) == [], "a clean stop leaves no socket"
    simulator.kill()


def test_etl_is_ready_with_bridge_and_database_and_not_before():
    conf, simulator, services = prepare("ready", started=("etl",))
    etl = services["etl"]
    wait_until("the status", lambda: "waiting for the bridge" in etl.manager.last_status(), alive=[etl])
    assert "READY=1" not in etl.manager.messages()
    value = picture(conf)
    assert value["status"] == "critical" and value["listen"] is None and "not running" in value["listen_error"], value
    assert value["etl"]["ready"] is False and value["etl"]["bridges"][0]["state"] == "away", value
    code, text, _ = status(conf)
    assert code == 2 and text.startswith("roost CRITICAL: roost listen: not running ("), text
    listen = Process("ready-listen", "listen", "-c", conf)
    wait_ready(etl)
    etl.stop()
    listen.stop()
    simulator.kill()


def test_listen_is_ready_without_a_network_and_says_what_it_waits_for():
    conf, simulator, services = prepare("network", started=())
    simulator.kill()
    manager = Manager("network-listen")
    listen = Process("network-listen", "listen", "-c", conf, environment=manager.environment)
    listen.manager = manager
    wait_ready(listen)
    wait_until("the status", lambda: "next attempt at" in manager.last_status(), alive=[listen])
    source = picture(conf)["listen"]["sources"][0]
    assert source["state"] in ("waiting", "connecting") and source["last_error"] and source["last_error_at"], source
    # A mistake: the old configuration stays in force, and file, line and what would be right are said.
    good = conf.read_text()
    conf.write_text(good.replace("[service]\n", "[service]\nlog_level = loud\n"))
    line = conf.read_text().splitlines().index("log_level = loud") + 1
    listen.child.send_signal(signal.SIGHUP)
    wait_until("the mistake in the status", lambda: f"roost.conf:{line}: " in manager.last_status(), alive=[listen])
    messages = manager.messages()
    reloading = next(i for i, m in enumerate(messages) if m.startswith("RELOADING=1\nMONOTONIC_USEC="))
    assert "READY=1" in messages[reloading:], messages
    assert f"roost.conf:{line}: " in picture(conf)["listen"]["reload"]["mistake"]
    conf.write_text(good)
    listen.child.send_signal(signal.SIGHUP)
    wait_until("the mistake to be gone", lambda: picture(conf)["listen"]["reload"]["mistake"] is None, alive=[listen])
    assert "not taken" not in manager.last_status()
    listen.stop()


def test_a_stopped_process_is_critical_in_bounded_time_and_a_killed_one_leaves_a_socket_that_is_replaced():
    conf, simulator, services = prepare("stopped")
    listen, etl = services["listen"], services["etl"]
    wait_ready(listen, etl)
    wait_until("all fine", lambda: picture(conf)["status"] == "ok", alive=[listen, etl])
    etl.child.send_signal(signal.SIGSTOP)
    code, text, took = status(conf)
    assert code == 2 and "roost etl: " in text and "no answer within 2.0 s" in text, text
    assert took < 2 + 20, "bounded, also with sanitizers on a loaded machine"
    etl.child.send_signal(signal.SIGCONT)
    wait_until("all fine again", lambda: picture(conf)["status"] == "ok", alive=[listen, etl])
    etl.kill()
    assert (folder() / "stopped-run/roost.etl.status").exists(), "it was killed"
    assert status(conf)[0] == 2
    again = Process("stopped-again", "etl", "-c", conf)
    wait_until("its answer", lambda: picture(conf)["etl"] and picture(conf)["etl"]["pid"] == again.pid, alive=[again])
    # A second one of the same configuration does not take the socket.
    second = Process("stopped-second", "etl", "-c", conf)
    wait_until("what it says", lambda: "another process answers on" in second.log(), alive=[second])
    assert picture(conf)["etl"]["pid"] == again.pid
    second.stop()
    again.stop()
    listen.stop()
    simulator.kill()


def test_exit_statuses_and_words_for_what_cannot_be_asked():
    home = folder() / "nothing"
    home.mkdir()
    code, text, _ = status(home / "no.conf")
    assert code == 3 and "cannot read" in text, text
    assert status(home / "no.conf", "--nonsense")[0] == 3
    assert status(home / "no.conf", "word")[0] == 3
    only = home / "only.conf"
    only.write_text(f"[bridge]\nspool_dir = {home}\n[sink main]\ntype = console\n")
    code, text, _ = status(only, environment={"XDG_RUNTIME_DIR": ""})
    assert code == 2 and "roost etl: not running" in text and "roost listen: not running" not in text, text
    value = picture(only)
    assert value["listen"] is None and len(value["problems"]) == 1, value
    # What answers is no roost.
    liar = socket.socket(socket.AF_UNIX)
    liar.bind(str(home / "only.etl.status"))
    liar.listen()
    asking = subprocess.Popen([ROOST, "status", "-c", str(only)], stdout=subprocess.PIPE, text=True, env={**os.environ, "XDG_RUNTIME_DIR": ""})
    while asking.poll() is None:
        if select.select([liar], [], [], 0.05)[0]:
            client, _ = liar.accept()
            client.sendall(b'{"service":"listen"')
            client.close()
    text = asking.stdout.read()
    assert asking.returncode == 2 and "cannot be read" in text, text


class Services:
    """Both services, as far as their sockets go: each answers with what the test wants, in time of its own."""

    NOW = "2026-01-01T12:00:00.000Z"

    def __init__(self, name):
        self.home = folder() / name
        self.home.mkdir()
        self.conf = self.home / "made.conf"
        self.conf.write_text(f"[service]\nruntime_dir = {self.home}\n")
        self.answers = {}
        self.ended = False
        for service in ("listen", "etl"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.home / f"made.{service}.status"))
            listener.listen()
            listener.settimeout(0.1)
            threading.Thread(target=self.serve, args=(service, listener), daemon=True).start()

    def serve(self, service, listener):
        while not self.ended:
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            client.sendall(json.dumps(self.answers[service]).encode())
            client.close()

    def ask(self, changes, *options):
        """The exit status and the text when everything is fine but for `changes`: pairs of a path and a value."""
        head = {"version": "1", "pid": 1, "now": self.NOW, "started_at": self.NOW, "stopping": False, "hanging": [], "reload": {"mistake": None}}
        self.answers = {
            "listen": {**head, "service": "listen", "started": True,
                       "sources": [{"name": "x", "state": "streaming", "since": "2026-01-01T09:00:00.000Z", "posts_per_second": 12.0}],
                       "spool": {"bytes": 10, "max_bytes": 1000, "when_full": "stop", "full": False},
                       "consumers": [{"name": "etl", "connected": True, "position": 5, "lag_frames": 0, "lag_seconds": 0}]},
            "etl": {**head, "service": "etl", "consumer": "etl", "batch_interval_seconds": 1, "bridges": [{"address": "a", "state": "connected"}],
                    "sinks": [{"name": "main", "state": "ready"}], "today": {"rejects": 0, "gaps": 3}}}
        for path, value in changes:
            at = self.answers
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = value
        code, text, _ = status(self.conf, *options)
        return code, text


def test_each_rule_is_as_documented():
    services = Services("rules")
    source, spool, consumer = ("listen", "sources", 0), ("listen", "spool"), ("listen", "consumers", 0)
    behind = [((*consumer, "lag_frames"), 9)]

    def lasting(path, state, since):
        return [((*path, "state"), state), ((*path, "since"), since)]

    for expected, words, changes in (
            (0, "connected 3 h, 12.0 posts/s, 0 behind", []),
            (0, "", [((*spool, "bytes"), 749)]),
            (1, "the spool is 75 % full", [((*spool, "bytes"), 750)]),
            (2, "the spool is 95 % full", [((*spool, "bytes"), 950)]),
            (0, "", [((*spool, "bytes"), 990), ((*spool, "when_full"), "drop_oldest")]),
            (2, "the spool takes nothing", [((*spool, "full"), True)]),
            (0, "", [*behind, ((*consumer, "lag_seconds"), 61)]),
            (1, "consumer etl is 9 frames and 63 s behind", [*behind, ((*consumer, "lag_seconds"), 63)]),
            (2, "consumer etl is 9 frames and 303 s behind", [*behind, ((*consumer, "lag_seconds"), 303)]),
            (0, "", [*behind, ((*consumer, "lag_seconds"), 303), (("etl", "batch_interval_seconds"), 3600)]),
            (1, "consumer other is", [*behind, ((*consumer, "lag_seconds"), 63), ((*consumer, "name"), "other"), (("etl", "batch_interval_seconds"), 60)]),
            (1, "consumer etl is not connected", [*behind, ((*consumer, "connected"), False)]),
            (0, "", [((*consumer, "connected"), False)]),
            (1, "source x: waiting for 10 s", lasting(source, "waiting", "2026-01-01T11:59:50.000Z")),
            (2, "source x: connecting for 5 min", lasting(source, "connecting", "2026-01-01T11:54:59.000Z")),
            (2, "source x is down: 401", [((*source, "state"), "down"), ((*source, "last_error"), "401")]),
            (2, "source x is stopped", [((*source, "state"), "stopped")]),
            (1, "bridge a: away for 60 s", lasting(("etl", "bridges", 0), "away", "2026-01-01T11:59:00.000Z")),
            (2, "sink main: away for 6 min", lasting(("etl", "sinks", 0), "away", "2026-01-01T11:54:00.000Z")),
            (1, "7 rejects today", [(("etl", "today", "rejects"), 7)]),
            (1, "roost.conf:3: wrong", [(("listen", "reload", "mistake"), "roost.conf:3: wrong")]),
            (1, "roost etl is stopping", [(("etl", "stopping"), True)]),
            (2, 'roost etl: its thread "etl sink" hangs', [(("etl", "hanging"), ["etl sink"])]),
            (1, "the first client is waited for", [(("listen", "started"), False)]),
            (2, "(and 1 more)", [(("etl", "today", "rejects"), 7), ((*spool, "full"), True)])):
        code, text = services.ask(changes)
        first = text.splitlines()[0]
        assert code == expected and words in first and " | sources=" in first, (expected, words, code, text)
    # What a server said goes to a terminal as it is, and what it might do to one does not.
    code, text = services.ask([((*source, "last_error"), "\x1b[2J\x07 \u009b31m \u00e4"), ((*source, "name"), "n\nroost OK: all fine")])
    assert code == 0 and "\x1b" not in text and "\x07" not in text and "\u009b" not in text and "\u00e4" in text, text
    assert not any(line.startswith("roost OK") for line in text.splitlines()[1:]), text
    code, text = services.ask([], "--json")
    assert json.loads(text)["etl"]["today"] == {"rejects": 0, "gaps": 3}
    services.ended = True


def test_the_watched_picture_is_redrawn_and_leaves_the_terminal_as_it_was():
    conf, simulator, services = prepare("watch", started=("listen",))
    wait_ready(services["listen"])
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm", COLUMNS="80")
        os.execv(ROOST, [ROOST, "status", "-c", str(conf), "--watch"])
    import fcntl
    import struct
    import termios
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
    seen = b""

    def drawn():
        nonlocal seen
        while select.select([terminal], [], [], 0)[0]:
            seen += os.read(terminal, 65536)
        return seen.count(b"\033[H") >= 4
    wait_until("four pictures", drawn)
    before = termios.tcgetattr(terminal)
    os.write(terminal, b"\x03")
    end = time.monotonic() + PATIENCE
    while True:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                pass
        assert time.monotonic() < end, "Ctrl-C does not end it"
    assert os.waitstatus_to_exitcode(code) == 0
    assert termios.tcgetattr(terminal) == before
    text = seen.decode(errors="replace")
    assert "\033[?" not in text, "no mode of the terminal is changed"
    last = text.split("\033[H")[-2 if text.endswith("\033[H") else -1]
    plain = re.sub(r"\033\[[0-9;]*[A-Za-z]", "", last).replace("\r", "")
    lines = plain.split("\n")
    assert "roost CRITICAL" in lines[0] and max(map(len, lines)) <= 60 and len(lines) <= 12, lines
    assert "\033[1;31m" in last and last.count("\033[0m") >= last.count("\033[1;31m"), "colours are ended"
    services["listen"].stop()
    simulator.kill()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
