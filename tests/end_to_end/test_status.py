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
    wait_until("the same of etl", lambda: re.match(r"\d+(\.\d)? posts/s, \d+ behind, last batch \d+ s ago$", etl.manager.last_status()), alive=[etl])
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
