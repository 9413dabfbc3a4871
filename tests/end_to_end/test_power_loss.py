#!/usr/bin/env python3
"""Power loss of `roost listen`, under power_loss.so: what a consumer was sent is in the spool afterwards, the same under its number.

ROOST_LONG=1: 40 rounds instead of 6. ROOST_SEED chooses the moments; the seed is printed.
"""
import os
import pathlib
import random
import socket
import sys
import threading

import support
from support import Process, Simulator, folder, recorded, wait_until, write_configuration

ROUNDS = 40 if os.environ.get("ROOST_LONG") == "1" else 6
SEED = int(os.environ.get("ROOST_SEED", "20181010"))
LIBRARY = pathlib.Path(support.ROOST).parent / "tests/power_loss.so"


class Consumer:
    """Reads frames until the connection ends, and acknowledges some if it is told to; keeps all it was ever sent."""

    def __init__(self, name, path, chance):
        self.name, self.path, self.chance = name, path, chance
        self.identity = None
        self.frames = {}  # sequence: payload

    def connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(support.PATIENCE)
        connection.connect(str(self.path))
        connection.sendall(f"roost 1 consumer={self.name}\n".encode())
        file = connection.makefile("rb")
        welcome = file.readline().decode().split()
        if not welcome or welcome[0] != "ok":
            raise ConnectionError(f"the bridge said {welcome}")
        fields = dict(word.split("=", 1) for word in welcome[1:])
        assert self.identity in (None, fields["spool"]), f"the identity was {self.identity}, now it is {fields['spool']}"
        self.identity = fields["spool"]
        return connection, file, int(fields["held"])

    def take(self, file):
        """One frame; None at the connection's end."""
        head = file.readline().split()
        if len(head) != 3:
            return None
        sequence, length = int(head[0]), int(head[1])
        payload = file.read(length)
        if len(payload) < length or not file.readline():
            return None
        assert self.frames.get(sequence, payload) == payload, f"{self.name}: frame {sequence} has another content"
        return sequence, payload

    def read(self, start, up_to=None, acknowledge=False):
        """From `start` on until the connection ends or frame `up_to` has come; the frames read."""
        found = {}
        connection, file, held = self.connect()
        with connection:
            assert held >= max(self.frames, default=0), f"{self.name} was sent frame {max(self.frames)}, {held} are held"
            connection.sendall(f"start {start}\n".encode())
            last = start - 1
            while up_to is None or last < up_to:
                frame = self.take(file)
                if frame is None:
                    break
                assert frame[0] > last, f"frame {frame[0]} comes behind {last}"
                last = frame[0]
                found[last] = self.frames[last] = frame[1]
                if acknowledge and self.chance.random() < 0.1:
                    connection.sendall(f"ack {last}\n".encode())
        return found

    def read_while_it_lives(self, process, acknowledge):
        """Until the process has died, connecting as soon as the bridge answers."""
        while process.poll() is None:
            try:
                self.read(max(self.frames, default=0) + 1, acknowledge=acknowledge)
            except OSError:
                pass


def one_round(chance, conf, home, consumers, number):
    """listen dies by power loss, or every third time by a kill whose writes a later power loss may still take."""
    after = chance.choice([chance.randint(1, 40), chance.randint(20, 200)])
    killed = number % 3 == 1
    listen = Process("listen", "listen", "-c", conf, environment={
        "LD_PRELOAD": str(LIBRARY), "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0", "POWER_LOSS_FOLDER": str(home),
        "POWER_LOSS_DISK": f"{home}.state", "POWER_LOSS_AFTER": str(after), "POWER_LOSS_SEED": str(chance.getrandbits(60)),
        "POWER_LOSS_ONLY_KILLED": str(int(killed))})
    failures = []

    def follow(consumer, acknowledge):
        try:
            consumer.read_while_it_lives(listen, acknowledge)
        except AssertionError as wrong:
            failures.append(wrong)

    threads = [threading.Thread(target=follow, args=(c, c.name == "etl")) for c in consumers]
    for thread in threads:
        thread.start()
    wait_until("the power to fail", lambda: listen.poll() is not None or failures)
    listen.kill()
    for thread in threads:
        thread.join()
    assert not failures, f"round {number}, operation {after}: {failures[0]}\n{listen.log()[-2000:]}"
    assert listen.returncode == -9 and "power_loss: " in listen.log(), f"it ended with {listen.returncode}:\n{listen.log()[-3000:]}"
    assert "wiped or restored" not in listen.log() and "lost its identity" not in listen.log(), listen.log()[-3000:]


def test_after_power_losses_the_spool_has_all_that_was_sent():
    if not LIBRARY.exists():
        support.skip(f"there is no {LIBRARY}")
    chance = random.Random(SEED)
    simulator = Simulator("--file", recorded("tweets-v1.1.ndjson"), "--no-filter", "--loop", "--rate", "400")
    conf = write_configuration("power", simulator.url, bridge="spool_sync = 20ms\nspool_max = 64MiB")
    home = folder() / "power"
    witness, etl = (Consumer(name, home / "bridge.sock", chance) for name in ("witness", "etl"))
    for number in range(ROUNDS):
        one_round(chance, conf, home, [witness, etl], number)
    sent = {**witness.frames, **etl.frames}
    assert {n: sent[n] for n in witness.frames} == witness.frames, "both were sent the same"
    last = max(sent, default=0)
    # With power: the witness has acknowledged nothing, so everything from the first frame it was sent is there.
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the bridge to listen", lambda: "listening" in listen.log(), alive=[listen])
    found = witness.read(1, up_to=last + 1)
    oldest = min(witness.frames, default=1)
    missing = [n for n in sent if n >= oldest and found.get(n) != sent[n]]
    assert not missing, f"frames {missing[:20]} were sent and are gone or changed"
    listen.stop()
    simulator.stop()
    print(f"seed {SEED}, {ROUNDS} rounds: {len(sent)} frames were sent in {last}, all are there")


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
