#!/usr/bin/python3
"""`roost simulate` as a user meets it: TLS with curl, the pace of recorded messages, faults, the examples of docs/simulator.md."""
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import support
from support import Simulator, roost

TOKEN = "roostDemoBearerTokenThatIsNoSecret%3D"
RULES = "/2/tweets/search/stream/rules"


def curl(*arguments, expected=0):
    done = subprocess.run(["curl", "-sS", "-m", "60", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == expected, f"curl {arguments}: {done.returncode}\n{done.stdout}"
    return done.stdout


def bearer(*more):
    return ["-H", f"Authorization: Bearer {TOKEN}", *more]


def messages_of(text):
    return [json.loads(line) for line in text.splitlines() if line]


def test_tls_with_its_own_certificate_serves_both_apis():
    if not shutil.which("curl"):
        support.skip("no curl here")
    certificate = support.folder() / "simulator.pem"
    simulator = Simulator("--tls-write", certificate, "--api", "1,2", "--no-auth", "--sample-count", 200, "--at-end", "close", "--no-filter")
    trust = ["--cacert", str(certificate)]
    assert simulator.base.startswith("https://127.0.0.1:"), simulator.base
    curl(simulator.base + RULES, expected=60)  # nobody trusts it unasked
    assert '"created":1' in curl(*trust, *bearer("-d", '{"add":[{"value":"coffee"}]}'), simulator.base + RULES)
    v2 = messages_of(curl(*trust, "--compressed", *bearer(), simulator.base + "/2/tweets/search/stream"))
    v1 = messages_of(curl(*trust, "--compressed", simulator.base + "/1.1/statuses/sample.json"))
    tweets = [m for m in v1 if "text" in m]
    assert len(v2) == len(tweets) > 150, (len(v2), len(tweets))
    assert all("data" in m for m in v2)
    assert "certificate" not in curl(*trust, simulator.base.replace("127.0.0.1", "localhost") + "/2/nothing")
    plain = subprocess.run(["curl", "-s", "-m", "10", simulator.base.replace("https", "http")], stdout=subprocess.PIPE)
    assert plain.returncode != 0, "plain HTTP got an answer"
    simulator.stop()


def test_tls_with_a_given_certificate():
    if not shutil.which("openssl") or not shutil.which("curl"):
        support.skip("no openssl or curl here")
    key, certificate = support.folder() / "key.pem", support.folder() / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    simulator = Simulator("--tls-certificate", certificate, "--tls-key", key, "--sample-count", 10)
    assert "404" in curl("--cacert", str(certificate), "-i", simulator.base + "/")
    simulator.stop()
    assert "belong together" in roost("simulate", "--tls-certificate", certificate, expected=2)
    assert "nothing.pem" in roost("simulate", "--tls-certificate", "nothing.pem", "--tls-key", key, expected=2)


def test_speed_keeps_the_distances_of_the_recorded_messages():
    first, ids = 1700000000000, []
    for offset in (0, 1000, 4000, 10000):
        ids.append((first + offset - 1288834974657) << 22)
    file = support.folder() / "paced.ndjson"
    file.write_text("".join(json.dumps({"id": i, "id_str": str(i), "text": "coffee", "user": {"id_str": "1", "screen_name": "a"}}) + "\n"
                            for i in ids))
    simulator = Simulator("--no-auth", "--file", file, "--speed", 5, "--wait", "--at-end", "close")
    began, arrived = time.monotonic(), []
    with urllib.request.urlopen(simulator.base + "/1.1/statuses/sample.json", timeout=support.PATIENCE) as stream:
        for line in stream:
            if line.strip():
                arrived.append(time.monotonic() - began)
    assert len(arrived) == 4, arrived
    for got, due in zip(arrived, (0, 0.2, 0.8, 2.0)):
        assert due - 0.02 <= got, f"too early: {arrived}"
    assert arrived[3] < 2 + support.PATIENCE / 10, arrived
    simulator.stop()
    assert "a speed needs one" in roost("simulate", "--listen", "127.0.0.1:0", "--speed", 1, "--file", write_timeless(), expected=2)


def write_timeless():
    file = support.folder() / "timeless.ndjson"
    file.write_text('{"id":5,"id_str":"5","text":"a","user":{"id_str":"1"}}\n')
    return file


def test_faults_are_logged_with_the_time_at_which_they_happened():
    script = support.folder() / "faults.txt"
    script.write_text("# one of each\nmessage 10 cut how=mid-message\nmessage 20 status code=503 times=2\n")
    assert roost("simulate", "--faults", script, "--faults-print") == "message 10 cut how=mid-message\nmessage 20 status code=503 times=2\n"
    simulator = Simulator("--no-auth", "--faults", script, "--sample-count", 100)
    url = simulator.base + "/1.1/statuses/sample.json"
    before = time.time() * 1000
    for expected in (18, 18, 22, 22):  # two broken bodies, two answers 503
        curl("-f", "-o", "/dev/null", url, expected=expected)
    after = time.time() * 1000
    log = simulator.log()
    times = [int(t) for t in re.findall(r"fault line [23]: .*wall_ms=(\d+)", log)]
    assert len(times) == 2 and before - 50 <= times[0] <= times[1] <= after + 50, log
    assert len(re.findall(r"-> 200 account anonymous wall_ms=\d+ connection=[12]\n", log)) == 2, log
    assert len(re.findall(r"-> 503 fault line 3 wall_ms=\d+ connection=[34]\n", log)) == 2, log
    assert len(re.findall(r"stream over: a fault: .*; wall_ms=\d+ connection=[12]\n", log)) == 2, log
    simulator.stop()
    one, two = (roost("simulate", "--faults-random", 5, "--faults-count", 20, "--faults-print") for _ in range(2))
    assert one == two and one.count("\n") == 20
    again = support.folder() / "again.txt"
    again.write_text(one)
    assert roost("simulate", "--faults", again, "--faults-print") == one
    wrong = support.folder() / "wrong.txt"
    wrong.write_text("message 1 cut\nmessage 2 bite\n")
    assert "wrong.txt, line 2: bite: no such fault" in roost("simulate", "--faults", wrong, expected=2)


def test_a_thousand_rules_at_a_high_rate():
    simulator = Simulator("--api", 2, "--sample-count", 500, "--rate", 300, "--loop")
    rules = {"add": [{"value": f"word{n} OR \"other words{n}\" OR from:user{n}", "tag": str(n)} for n in range(999)] + [{"value": "coffee"}]}
    path = support.folder() / "rules.json"
    path.write_text(json.dumps(rules))
    assert '"created":1000' in curl(*bearer("-d", f"@{path}"), simulator.base + RULES)
    request = urllib.request.Request(simulator.base + "/2/tweets/search/stream", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=support.PATIENCE) as stream:
        began, got = time.monotonic(), []
        while len(got) < 200:
            line = stream.readline()
            assert line, "the stream ended"
            if line.strip():
                got.append(json.loads(line))
    assert all([r.get("tag") for r in m["matching_rules"]] == [""] for m in got)
    assert time.monotonic() - began < support.PATIENCE
    simulator.stop()


def test_the_examples_of_the_documentation_run():
    """Each `$ curl ...` line of docs/simulator.md under "API v2", in their order, against one simulator started as it says there."""
    text = (support.SOURCE / "docs/simulator.md").read_text()
    section = text.split("\n## API v2\n", 1)[1].split("\n## ", 1)[0]
    commands = [line[2:] for line in section.splitlines() if line.startswith("$ ")]
    start = next(c for c in commands if c.startswith("roost simulate"))
    arguments = start.split()[2:]
    del arguments[arguments.index("--listen"):arguments.index("--listen") + 2]
    simulator = Simulator(*arguments)
    asked = 0
    for command in commands:
        if command.startswith("curl"):
            command = command.replace("http://127.0.0.1:8080", simulator.base)
            done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=support.PATIENCE)
            assert done.stdout.startswith("{"), f"{command}\n{done.stdout}\n{done.stderr}"
            assert '"errors"' not in done.stdout.split("\n", 1)[0] or "data" in done.stdout, f"{command}\n{done.stdout}"
            asked += 1
    assert asked >= 4, commands
    simulator.stop()
    block = text.split("\n## Faults\n", 1)[1].split("```\n", 2)[1]
    example = support.folder() / "example.txt"
    example.write_text(block)
    assert roost("simulate", "--faults", example, "--faults-print").count("\n") >= 5


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
