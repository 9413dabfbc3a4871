#!/usr/bin/env python3
"""No secret and no text of a post is in any log or status, at any level; under systemd each line has its fields."""
import json
import os
import signal
import socket
import subprocess
import sys

import support
from support import Postgres, Process, Simulator, folder, wait_until, write_configuration

MARK = "zqxWombat"  # in every text, name and broken message that the stream brings
KEY, SECRET, TOKEN, TOKEN_SECRET = "logKey7711", "logSecret7712", "4711-logToken7713", "logTokenSecret7714"
PASSWORD = "logPassword7715"


def tweet(number, **more):
    return {"created_at": "Wed Oct 10 20:19:24 +0000 2018", "id": 1050118621198921000 + number, "id_str": str(1050118621198921000 + number),
            "text": f"{MARK} text {number} #{MARK}Tag @{MARK}Name https://example.org/{MARK}", "lang": "en",
            "user": {"id": 7, "id_str": "7", "screen_name": f"{MARK}Screen", "name": f"{MARK} Full", "description": f"{MARK} description"},
            "entities": {"hashtags": [], "urls": [], "user_mentions": [], "symbols": []}, **more}


def stream_file():
    """Posts, posts that the tables refuse, and messages that are broken in several ways; all with the mark."""
    lines = [json.dumps(tweet(i)) for i in range(60)]
    lines.append(f'{{"text":"{MARK} never ends')
    lines.append(f"{MARK} is no JSON at all")
    lines.append(json.dumps({"something": f"{MARK} unknown"}))
    lines.append(json.dumps({"warning": {"code": "FALLING_BEHIND", "message": f"{MARK} warning", "percent_full": 60}}))
    lines.append(json.dumps(tweet(100, id_str="x", id="x")))
    lines += [json.dumps(tweet(200 + i, text=f"{MARK} refuse me {i}")) for i in range(3)]
    lines.append(json.dumps({"delete": {"status": {"id_str": "1050118621198921001", "user_id_str": "7"}}}))
    path = folder() / "marked.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return path


def configuration(name, url, database, postgres, secret=SECRET):
    conf = write_configuration(name, url, database, postgres, keywords=None, filters=f"keywords = text, refuse, {MARK}Word",
                               sink=f"[sink main]\ntype = postgres\nconninfo = {postgres.conninfo} dbname={database} password={PASSWORD}\n"
                                    "[sink screen]\ntype = jsonl\npath = out.ndjson\n")
    text = conf.read_text()
    for old, new in ((support.API_KEY, KEY), (support.API_SECRET, secret), (support.ACCESS_TOKEN, TOKEN), (support.ACCESS_SECRET, TOKEN_SECRET)):
        text = text.replace(old, new)
    conf.write_text(text + f"[service]\nruntime_dir = {conf.parent}\nlog_level = debug\n")
    return conf


def secrets_of(conf):
    token = (conf.parent / "spool/token").read_text().strip()
    # The key that names the application is no secret by itself, but nobody needs it in a log.
    return {"API secret": SECRET, "access token": TOKEN, "access token secret": TOKEN_SECRET, "password": PASSWORD, "bridge token": token,
            "a post": MARK, "API key": KEY, "a signature": "oauth_signature"}


def check(conf, texts):
    for what, secret in secrets_of(conf).items():
        for name, text in texts.items():
            at = text.find(secret)
            assert at < 0, f"{what} is in {name}: ...{text[max(0, at - 200):at + 60]}..."


def test_nothing_secret_and_nothing_of_a_post_is_in_a_log_or_status():
    postgres = Postgres()
    database = postgres.create()
    account = ["--api-key", KEY, "--api-secret", SECRET, "--access-token", TOKEN, "--access-secret", TOKEN_SECRET]
    simulator = Simulator("--file", stream_file(), "--no-filter", "--rate", "60", "--loop", "--fresh-ids", "--cut-after", "150", *account)
    conf = configuration("logs", simulator.url, database, postgres)
    support.roost("migrate", "-c", conf)
    postgres.psql("alter table roost.posts add constraint no_refuse check (text not like '%refuse me%')", database)
    listen = Process("listen", "listen", "-c", conf)
    etl = Process("etl", "etl", "-c", conf)
    wait_until("rejects", lambda: int(postgres.psql("select count(*) from roost.rejects", database)) >= 3, alive=[listen, etl])
    wait_until("two streams", lambda: listen.log().count("ingest test: attempt ") >= 2, alive=[listen, etl])
    wait_until("batches in the log", lambda: "debug etl: a batch is loaded: " in etl.log(), alive=[etl])
    # Mistakes of a reload quote what is wrong, but no secret.
    good = conf.read_text()
    conf.write_text(good.replace(f"api_secret = {SECRET}", f"api_secrets = {SECRET}").replace("password=", "pass word="))
    for process in (listen, etl):
        process.child.send_signal(signal.SIGHUP)
        wait_until("the reload to be refused", lambda p=process: "the old one stays in force" in p.log(), alive=[process])
    conf.write_text(good)
    def ask():
        return subprocess.run([support.ROOST, "status", "-c", conf, "--json"], stdout=subprocess.PIPE, text=True, check=False).stdout

    # A socket that could not be made at the start is tried for again soon.
    wait_until("both to answer roost status", lambda: all(json.loads(ask())[name] for name in ("listen", "etl")), alive=[listen, etl])
    told = ask()
    assert json.loads(told)["etl"]["today"]["rejects"] >= 3, told
    human = subprocess.run([support.ROOST, "status", "-c", conf], stdout=subprocess.PIPE, text=True, check=False).stdout
    etl.stop()
    listen.stop()
    assert "unreadable" in listen.log() or "could not be read" in listen.log(), listen.log()
    check(conf, {"the log of listen": listen.log(), "the log of etl": etl.log(), "roost status --json": told, "roost status": human})
    # Refused: what the server says of it, and what is done about it.
    wrong = configuration("wrong", simulator.url, database, postgres, secret="logSecretWrong7716")
    refused = Process("refused", "listen", "-c", wrong)
    wait_until("401", lambda: "401" in refused.log(), alive=[refused])
    refused.stop()
    check(wrong, {"the log of a refused listener": refused.log()})
    assert "logSecretWrong7716" not in refused.log()
    simulator.kill()


JOURNALD = """
import os, socket, subprocess, sys
os.makedirs("/run/systemd/journal", exist_ok=True)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
journal.settimeout(60)
stderr = open(sys.argv[1], "w")
status = os.fstat(stderr.fileno())
child = subprocess.Popen(sys.argv[2:], stderr=stderr, env={**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
while True:
    entry = journal.recv(65536).decode()
    print(entry.replace("\\n", "|"), flush=True)
    if "next attempt" in entry:
        break
child.terminate()
child.wait(60)
"""


def test_under_systemd_lines_go_to_journald_with_their_fields():
    conf = write_configuration("journal", "http://127.0.0.1:9/1.1/statuses/filter.json")
    stderr = folder() / "journal.stderr"
    script = folder() / "journald.py"
    script.write_text(JOURNALD)
    # A /run of its own, in a name space of mounts that ends with the process.
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", "/usr/bin/python3", str(script), str(stderr),
               support.ROOST, "listen", "-c", str(conf)]
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/run"], stderr=subprocess.DEVNULL,
                                           check=False).returncode:
        print("not run: a /run of its own needs root and mount")
        return
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=support.PATIENCE, check=False)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    lost = next(line for line in lines if "next attempt" in line)
    assert lost.startswith("PRIORITY=4|SYSLOG_IDENTIFIER=roost|ROOST_MODULE=ingest|ROOST_SOURCE=test|MESSAGE=ingest test: "), lost
    assert any("|ROOST_MODULE=bridge|MESSAGE=bridge: listening on " in line for line in lines), lines
    assert "listening on" not in stderr.read_text(), "said once"


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
