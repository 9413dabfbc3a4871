#!/usr/bin/python3
"""tweepy's own v1.1 Stream, with only its host replaced, works against `roost simulate`."""
import sys
import threading

import support
from support import ACCESS_SECRET, ACCESS_TOKEN, API_KEY, API_SECRET, Simulator

try:
    import tweepy
    from tweepy.streaming import Stream
except ImportError as error:
    support.skip(f"python3-tweepy with its v1.1 Stream is not installed ({error})")

import requests


class LocalStream(Stream):
    """As tweepy's, but for the host (its _connect names it in a literal)."""

    def __init__(self, base, *arguments, **more):
        super().__init__(*arguments, **more)
        self.base = base
        self.tweets, self.raw, self.errors = [], [], []
        real = self.session.request

        def local(method, url, **options):
            return real(method, url.replace("https://stream.twitter.com", self.base), **options)

        self.session.request = local

    def on_status(self, status):
        self.tweets.append(status)
        if len(self.tweets) >= 200:
            self.disconnect()

    def on_request_error(self, status_code):
        self.errors.append(status_code)
        self.disconnect()


def test_the_right_secret_streams_tweets():
    simulator = Simulator()
    stream = LocalStream(simulator.base, API_KEY, API_SECRET, ACCESS_TOKEN, ACCESS_SECRET)
    worker = threading.Thread(target=lambda: stream.filter(track=["coffee", "music", "football"], languages=["en", "es"], stall_warnings=True),
                              daemon=True)
    worker.start()
    support.wait_until("200 tweets in tweepy", lambda: len(stream.tweets) >= 200 or stream.errors, alive=[simulator])
    assert not stream.errors, stream.errors
    assert {t.lang for t in stream.tweets} <= {"en", "es"}
    worker.join(support.PATIENCE)
    simulator.stop()


def test_a_wrong_secret_is_answered_401():
    simulator = Simulator()
    stream = LocalStream(simulator.base, API_KEY, "wrong", ACCESS_TOKEN, ACCESS_SECRET)
    stream.filter(track=["coffee"])
    assert stream.errors == [401] and not stream.tweets
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
