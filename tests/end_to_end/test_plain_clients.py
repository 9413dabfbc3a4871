#!/usr/bin/env python3
"""A plain client (nc, Spark's socketTextStream, twenty lines of Python) gets every post, one record each."""
import json
import socket
import sys
import time

import reading
import support
from support import Process, Simulator, folder, recorded, wait_until, write_configuration

HARD_TEXTS = [
    "__END", "a __end b", "x__eNd", "__en", "d__end__END__End", "line\nbreak\r\nand\rmore", "sep\u2028para\u2029next\u0085",
    "\u212a__END", "ends with __", "_", "__", "", " ", "__end __end", "emoji \U0001f469\u200d\U0001f4bb __END", "\u0130__end\u0130",
    "back\\slash \"quote\"", "\u05e9\u05dc\u05d5\u05dd __end \u0645\u0631\u062d\u0628\u0627",
]


def hard_tweets(path):
    template = json.loads(open(recorded("tweets-v1.1.ndjson"), encoding="utf-8").readline())
    for key in ("retweeted_status", "extended_tweet", "quoted_status"):
        template.pop(key, None)
    with open(path, "w", encoding="utf-8") as file:
        for number, text in enumerate(HARD_TEXTS):
            tweet = dict(template, text=text, id_str=str(10**18 + (number << 22)), id=10**18 + (number << 22),
                         entities={"hashtags": [], "urls": [], "user_mentions": [], "symbols": []})
            file.write(json.dumps(tweet) + "\n")


def records(data):
    """What the seed's consumer makes of the bytes: lines, then lower().split("__end")."""
    parts = []
    for line in data.decode("utf-8").split("\n")[:-1]:
        pieces = line.lower().split("__end")
        assert pieces[-1] == "" and len(pieces) == 2, f"one record and the empty one that the split leaves: {line!r}"
        parts.append(pieces[0])
    return parts


def read_posts(connection, count, patience=support.PATIENCE):
    pieces, lines = [], 0
    end = time.monotonic() + patience
    while lines < count:
        connection.settimeout(max(0.1, end - time.monotonic()))
        piece = connection.recv(1 << 20)
        assert piece, f"the bridge closed after {lines} of {count} posts"
        pieces.append(piece)
        lines += piece.count(b"\n")
    return b"".join(pieces)


def squeezed(text):
    return text.replace("\r", " ").replace("\n", " ").lower()


def letters(text):
    """The text without the characters that breaking up a marker inserts, and without the white space at its end."""
    return "".join(c for c in text if c.isalnum() or c in "_ \\\"").rstrip()


def start_on_client(name, file, *simulator_arguments, bridge=""):
    port = support.free_port()
    simulator = Simulator("--file", file, "--no-filter", *simulator_arguments)
    conf = write_configuration(name, simulator.url, bridge=f"listen = 127.0.0.1:{port}\nstart = on_client\n{bridge}")
    listen = Process("listen", "listen", "-c", conf)
    wait_until("the bridge to listen", lambda: "listening" in listen.log(), alive=[listen])
    return simulator, listen, port


def test_every_hard_text_is_one_record():
    path = folder() / "hard.ndjson"
    hard_tweets(path)
    simulator, listen, port = start_on_client("hard", path)
    with socket.create_connection(("127.0.0.1", port)) as client:
        found = records(read_posts(client, len(HARD_TEXTS)))
    for text, record in zip(HARD_TEXTS, found):
        assert letters(record) == letters(squeezed(text)) or letters(record.replace("_ _", "__")) == letters(squeezed(text)), (text, record)
    listen.stop()
    simulator.stop()


def test_recorded_tweets_come_out_whole_in_order_and_no_connection_is_opened_before_a_client():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))
    simulator, listen, port = start_on_client("whole", recorded("tweets-v1.1.ndjson"))
    time.sleep(1)  # not in place of a condition: that nothing happens can only be seen by waiting
    assert "POST" not in simulator.log() and "GET" not in simulator.log(), simulator.log()
    with socket.create_connection(("127.0.0.1", port)) as client:
        found = records(read_posts(client, len(tweets)))
    assert len(found) == len(tweets)
    for tweet, record in zip(tweets, found):
        expected = squeezed(reading.full_text(tweet))
        if "__end" not in expected:
            assert record == expected + " ", (tweet["id_str"], expected, record)
    listen.stop()
    simulator.stop()


def test_a_stalled_client_delays_nobody():
    # At a pace that the reading client keeps, long enough for what the stalled one leaves to pass every buffer.
    simulator, listen, port = start_on_client("stall", recorded("tweets-v1.1.ndjson"), "--loop", "--fresh-ids", "--rate", "2000",
                                              bridge="plain = json")
    # Both are there before the first post: a plain client gets what arrives after it was accepted.
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.connect(("127.0.0.1", port))
    with socket.create_connection(("127.0.0.1", port)) as client:
        read_posts(client, 16000)
    wait_until("the stalled client to be dropped", lambda: "slow" in listen.log() or "dropped" in listen.log(), alive=[listen])
    stalled.close()
    listen.stop()
    simulator.stop()


def test_json_frames_are_the_posts():
    tweets = reading.read_lines(recorded("tweets-v1.1.ndjson"))[:300]
    simulator, listen, port = start_on_client("json", recorded("tweets-v1.1.ndjson"), "--total", "300", bridge="plain = json")
    with socket.create_connection(("127.0.0.1", port)) as client:
        lines = read_posts(client, 300).decode().split("\n")[:-1]
    for tweet, line in zip(tweets, lines):
        assert line.endswith(" __end") and "__end" not in line[:-6].lower()
        post = json.loads(line[:-6])
        assert post["kind"] == "post" and post["id"] == tweet["id_str"] and post["text"] == reading.full_text(tweet)
        assert post["network"] == "x" and post["source"] == "test"
    listen.stop()
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
