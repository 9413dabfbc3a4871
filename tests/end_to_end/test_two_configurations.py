#!/usr/bin/env python3
"""Two configurations in one folder: who has the address that a listener wants is said, and it starts once it has another."""
import sys

import support
from support import Process, Simulator, folder, wait_until, write_configuration


def test_a_taken_address_names_the_configuration_that_has_it():
    simulator = Simulator()
    first = write_configuration("pair", simulator.url)
    listener = Process("listen", "listen", "-c", first)
    wait_until("the first listener serves", lambda: "listening on" in listener.log())
    text = first.read_text()
    spool = str(folder() / "pair/spool")
    second = first.with_name("news.conf")
    broken = first.with_name("broken.conf")
    broken.write_text("[bridge]\nlisten = nonsense\nno key\n")
    broken.chmod(0o600)

    def run(changed, expected):
        second.write_text(changed)
        second.chmod(0o600)
        process = Process("listen-news", "listen", "-c", second)
        wait_until("the second listener has ended", lambda: process.poll() is not None)
        assert process.returncode == expected, process.log()
        return process.log()

    log = run(text.replace(spool, str(folder() / "pair/news-spool")), 1)
    assert f"{first} has the same listen: give one of them another" in log and "broken.conf" not in log, log
    log = run(text.replace("bridge.sock", "news.sock"), 2)
    assert f"{first} has the same spool_dir: give one of them another" in log, log

    second.write_text(text.replace(spool, str(folder() / "pair/news-spool")).replace("bridge.sock", "news.sock"))
    own = Process("listen-news", "listen", "-c", second)
    wait_until("the second listener serves", lambda: "listening on" in own.log())
    own.stop()
    listener.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
