#!/usr/bin/env python3
"""Broken configurations: every mistake is named with file and line in one run, exit status 2, no secret on the screen."""
import re
import sys

import support
from support import folder, roost

SECRET = "s3cr3t-never-shown"
GOOD = [
    "[source covid]", "type = x-v1", "url = http://127.0.0.1:9/1.1/statuses/filter.json", f"api_key = {SECRET}1",
    f"api_secret = {SECRET}2", f"access_token = {SECRET}3", f"access_secret = {SECRET}4",
    "[filter]", "keywords = covid, vaccine", "languages = en, es",
    "[bridge]", "listen = 127.0.0.1:5555", "spool_dir = spool",
    "[etl]", "bridge = 127.0.0.1:5555",
    "[sink main]", "type = postgres", "conninfo = dbname=roost",
]


def numbered(change):
    """The good lines with `change` applied: {line number: replacement, or None to leave out, or a list}; 0 = before all."""
    out, where = [], {}
    for number, line in [(0, None), *enumerate(GOOD, 1)]:
        new = change.get(number, line)
        for piece in ([] if new is None else new if isinstance(new, list) else [new]):
            out.append(piece)
        where[number] = len(out)
    return out, where


CASES = {  # name: (changes, [(line of GOOD or None for the section's, a word of the message)])
    "unknown section": ({8: "[filtre]"}, [(8, "filtre")]),
    "unknown key": ({9: ["keywords = a", "keyword_file = x"]}, [(9, "keyword_file")]),
    "unknown key's value is not shown": ({9: ["keywords = a", f"api_sekret = {SECRET}9"]}, [(9, "api_sekret")]),
    "section given twice": ({13: ["spool_dir = spool", "[bridge]"]}, [(13, "twice|already|again")]),
    "named section given twice": ({18: [GOOD[17], "[sink main]", "type = console"]}, [(None, "twice|already|again")]),
    "key given twice": ({9: ["keywords = a", "keywords = b"]}, [(9, "twice|already|again")]),
    "neither section nor key": ({10: "just words"}, [(10, "section|key")]),
    "key before any section": ({0: ["type = x-v1"]}, [(0, "section")]),
    "section not closed": ({11: "[bridge"}, [(11, "]")]),
    "open quote": ({9: 'keywords = "covid'}, [(9, "quote")]),
    "number out of range": ({14: ["[etl]", "workers = 100000"]}, [(14, "workers")]),
    "no number": ({14: ["[etl]", "workers = many"]}, [(14, "workers")]),
    "duration out of range": ({14: ["[etl]", "batch_interval = 2h"]}, [(14, "batch_interval")]),
    "duration without unit": ({14: ["[etl]", "batch_interval = 10"]}, [(14, "batch_interval")]),
    "size that is none": ({13: ["spool_dir = spool", "spool_max = 4GoB"]}, [(13, "spool_max")]),
    "flag that is none": ({9: ["keywords = a", "retweets = maybe"]}, [(9, "retweets")]),
    "choice that is none": ({12: ["listen = 127.0.0.1:5555", "plain = xml"]}, [(12, "plain")]),
    "code that is no language": ({10: "languages = en, klingon"}, [(10, "klingon")]),
    "conninfo that libpq cannot parse": ({18: f"conninfo = dbname=roost password={SECRET}5 nonsense"}, [(18, "conninfo")]),
    "missing secret": ({5: None}, [(None, "api_secret")]),
    "secret file missing": ({5: "api_secret_file = not-there"}, [(5, "not-there")]),
    "secret given both ways": ({5: [GOOD[4], "api_secret_file = x"]}, [(5, "api_secret")]),
    "keywords file missing": ({9: "keywords_file = not-there.txt"}, [(9, "not-there.txt")]),
    "no keyword at all": ({9: None}, [(1, "keyword")]),
    "no url": ({3: None}, [(1, "2023")]),
    "url that is none": ({3: "url = ftp://example.org/x"}, [(3, "http")]),
    "type of a later version": ({2: "type = kafka"}, [(2, "kafka")]),
    "type that nobody knows": ({2: "type = myspace"}, [(2, "myspace")]),
    "address that is none": ({12: "listen = localhost"}, [(12, "listen")]),
    "keyword over the network's 60 bytes": ({9: "keywords = " + "x" * 61}, [(9, "60")]),
    "end marker with a space": ({12: ["listen = 127.0.0.1:5555", "end_marker = a b"]}, [(12, "end_marker")]),
    "section name with a space": ({1: "[source a b]"}, [(1, "name")]),
    "consumer name that is none": ({14: ["[etl]", "consumer = a/b"]}, [(14, "consumer")]),
}


def check(path):
    return roost("check", "-c", path, expected=2)


def test_thirty_broken_configurations_name_file_and_line_and_show_no_secret():
    assert len(CASES) >= 30
    wrong = []
    for name, (change, expected) in CASES.items():
        lines, where = numbered(change)
        path = folder() / "broken.conf"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        output = check(path)
        if SECRET in output:
            wrong.append((name, "a secret is shown", output))
        for line, word in expected:
            place = re.escape(str(path)) + (f":{where[line]}" if line is not None else r"(:\d+)?") + ":"
            if not re.search(f"{place}.*({word if word != ']' else re.escape(word)})", output):
                wrong.append((name, line and where[line], word, output))
    assert not wrong, "\n\n".join(map(str, wrong))


def test_all_mistakes_are_named_in_one_run():
    lines, where = numbered({8: "[filtre]", 12: "listen = nowhere", 14: ["[etl]", "workers = many"], 18: "conninfo = =", 2: "type = myspace"})
    path = folder() / "many.conf"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    path.chmod(0o600)
    output = check(path)
    for line in (2, 8, 12, 14, 18):
        assert f"{path}:{where[line]}:" in output, (line, output)


def test_bytes_that_are_no_utf8_are_a_mistake_with_its_line():
    lines, where = numbered({})
    path = folder() / "bytes.conf"
    path.write_bytes("\n".join(lines).encode().replace(b"covid, vaccine", b"covid\xff"))
    path.chmod(0o600)
    assert f"{path}:{where[9]}:" in check(path)


def test_secrets_that_the_world_can_read_are_refused():
    path = folder() / "world.conf"
    path.write_text("\n".join(GOOD))
    path.chmod(0o644)
    output = check(path)
    assert "chmod" in output and SECRET not in output, output


def test_the_good_configuration_is_right_and_each_keyword_line_is_explained():
    path = folder() / "good.conf"
    path.write_text("\n".join(GOOD).replace("covid, vaccine", 'covid, long covid, "long covid", #covid, -spam'))
    path.chmod(0o600)
    output = roost("check", "-c", path)
    for part in ("covid", "phrase", "spam"):
        assert part in output, output
    assert SECRET not in output


def test_a_thousand_keywords_and_a_long_conninfo_are_read():
    words = ", ".join(f"kw{n}" for n in range(1000))
    long = "dbname=roost application_name=" + "x" * 600
    lines, _ = numbered({3: "url = http://127.0.0.1:9/x", 18: f"conninfo = {long}", 9: f"keywords = {words}"})
    path = folder() / "long.conf"
    path.write_text("\n".join(lines))
    path.chmod(0o600)
    output = roost("check", "-c", path, expected=2)
    mistakes = [line for line in output.splitlines() if re.match(re.escape(f"{path}:") + "[0-9]", line)]
    assert len(mistakes) == 1 and "400" in mistakes[0], "the network takes 400 phrases; nothing else is wrong: " + output


def test_no_file_is_said_with_its_name():
    assert "/nowhere/roost.conf" in roost("check", "-c", "/nowhere/roost.conf", expected=2)


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
