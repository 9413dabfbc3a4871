#!/usr/bin/env python3
"""`watch = yes`: a changed keyword file comes into force by itself, however it was written; a mistake keeps the old list and is said once."""
import os
import sys

import live_v2
import support
from support import Process, Simulator, folder, wait_until, write_configuration


class Stage:
    def __init__(self, name, filters="watch = yes", source=""):
        self.simulator = Simulator("--rate", "100", "--loop")
        self.home = folder() / name
        self.home.mkdir()
        self.words = self.home / "keywords.txt"
        self.words.write_text("coffee\n")
        self.conf = write_configuration(name, self.simulator.url, keywords="", filters=f"keywords_file = keywords.txt\n{filters}",
                                        source=f"change_interval = 1s\n{source}")
        self.listen = Process("listen", "listen", "-c", self.conf)
        self.streams(1)

    def streams(self, times):
        wait_until(f"stream {times}", lambda: self.listen.log().count("streaming from") == times, alive=[self.simulator, self.listen])

    def replace(self, path, text):
        """As editors do: another file is put in its place."""
        new = path.parent / ".new"
        new.write_text(text)
        os.replace(new, path)

    def tracked(self):
        return [line for line in self.listen.log().splitlines() if "keywords: version" in line]

    def read_again(self):
        return self.listen.log().count("a keyword file has changed")

    def stop(self):
        self.listen.stop()
        self.simulator.stop()


def test_a_replaced_file_and_one_written_in_place_come_into_force():
    s = Stage("watch")
    s.replace(s.words, "music\n")
    s.streams(2)
    with open(s.words, "a", encoding="utf-8") as file:
        file.write("football\n")
    s.streams(3)
    versions = s.tracked()
    assert len(versions) == 3 and len({v.split("version ")[1].split()[0] for v in versions}) == 3, versions
    link = s.home / "other"
    link.mkdir()
    (link / "list").write_text("tea\n")
    s.words.unlink()
    s.words.symlink_to(link / "list")
    s.streams(4)
    (link / "list").write_text("books\n")
    s.streams(5)
    s.stop()


def test_a_mistake_keeps_the_old_list_and_is_said_once_and_a_touched_file_means_nothing():
    s = Stage("mistake")
    s.replace(s.words, 'coffee\n"open\n')
    wait_until("the mistake", lambda: "the old one stays in force" in s.listen.log(), alive=[s.listen])
    os.utime(s.words)  # an event without other contents
    other = s.home / "notes.txt"
    other.write_text("nobody's business")
    s.replace(s.words, "coffee\nmusic\n")
    s.streams(2)
    log = s.listen.log()
    assert log.count("keywords.txt:2:") == 1 and log.count("stays in force") == 1, log
    os.utime(s.words)
    s.replace(s.words, "coffee\nmusic\n")
    s.replace(s.words, "coffee\nmusic\ntea\n")
    s.streams(3)
    assert s.read_again() == 3, "only other contents are read again"
    s.words.unlink()
    wait_until("the loss", lambda: s.listen.log().count("stays in force") == 2, alive=[s.listen])
    s.words.write_text("climate\n")
    s.streams(4)
    s.stop()


def test_a_sources_own_file_is_watched_and_what_is_not_to_be_watched_is_not():
    own = folder() / "own.txt"
    own.write_text("coffee\n")
    s = Stage("own", filters="", source=f"keywords_file = {own}\nwatch = yes\n")
    s.words.write_text("nobody asks for this\n")
    s.replace(own, "tea\n")
    s.streams(2)
    assert s.read_again() == 1
    s.stop()


def test_on_x_v2_the_rules_change_beside_the_open_stream():
    simulator = Simulator("--api", "2", "--rate", "20", "--loop")
    conf = live_v2.configure(simulator.base, ["coffee"])
    conf.write_text(conf.read_text().replace("[bridge]", "watch = yes\n[bridge]"))
    conf.chmod(0o600)
    listen = live_v2.listen(conf)
    live_v2.streams(listen, simulator)
    (conf.parent / "kw.txt").write_text("tea\n")
    wait_until("the rule", lambda: any("tea" in rule for rule in live_v2.rules(simulator.base)), alive=[simulator, listen])
    assert simulator.log().count("GET /2/tweets/search/stream -> 200") == 1, "the stream stays open"
    listen.stop()
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
