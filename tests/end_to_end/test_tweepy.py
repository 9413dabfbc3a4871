#!/usr/bin/python3
"""tweepy's own v1.1 Stream and v2 StreamingClient, with only their host replaced, work against `roost simulate`."""
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

TOKEN = "roostDemoBearerTokenThatIsNoSecret%3D"


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


class LocalStreamingClient(tweepy.StreamingClient):
    """As tweepy's, but for the host of its stream and of its rules."""

    def __init__(self, base, *arguments, enough=50, **more):
        super().__init__(*arguments, **more)
        self.base, self.enough = base, enough
        self.responses, self.errors, self.seen, self.connects, self.statuses = [], [], [], 0, []
        real = self.session.request

        def local(method, url, **options):
            return real(method, url.replace("https://api.twitter.com", self.base), **options)

        self.session.request = local

    def on_connect(self):
        self.connects += 1

    def on_response(self, response):
        self.responses.append(response)
        if len(self.responses) >= self.enough:
            self.disconnect()

    def on_errors(self, errors):
        self.errors.extend(errors)

    def on_request_error(self, status_code):
        self.statuses.append(status_code)
        self.disconnect()


def test_the_streaming_client_adds_rules_and_reads_posts():
    simulator = Simulator("--api", 2)
    client = LocalStreamingClient(simulator.base, TOKEN, wait_on_rate_limit=False)
    assert client.get_rules().data is None
    added = client.add_rules([tweepy.StreamRule("coffee lang:en", tag="hot"), tweepy.StreamRule("football"), tweepy.StreamRule("h:m")])
    assert [r.value for r in added.data] == ["coffee lang:en", "football"] and added.meta["summary"]["created"] == 2, added
    assert added.errors[0]["details"][0] == "Reference to invalid operator 'h' (at position 1).", added.errors
    again = client.add_rules(tweepy.StreamRule("football"))
    assert again.data is None and again.errors[0]["title"] == "DuplicateRule", again
    ids = {r.tag: r.id for r in client.get_rules().data}
    assert set(ids) == {"hot", None}, ids
    worker = client.filter(threaded=True, expansions=["author_id", "referenced_tweets.id"], tweet_fields=["created_at", "lang"])
    worker.join(support.PATIENCE)
    assert not worker.is_alive() and not client.statuses, client.statuses
    assert len(client.responses) >= 50 and client.connects == 1
    for response in client.responses:
        post = response.data
        assert post.author_id in {u.id for u in response.includes["users"]}
        assert post.created_at.year >= 2022 and post.lang
        rules = {r.tag for r in response.matching_rules}
        assert rules and rules <= {"hot", ""}, rules
        assert "hot" not in rules or post.lang == "en"
    deleted = client.delete_rules([ids["hot"], ids[None]])
    assert deleted.meta["summary"]["deleted"] == 2
    assert client.get_rules().data is None
    simulator.stop()


def test_the_streaming_client_meets_refusals_and_disconnects():
    simulator = Simulator("--api", 2, "--faults", write_faults("message 20 disconnect\nmessage 40 cut how=mid-message\n"))
    client = LocalStreamingClient(simulator.base, TOKEN, enough=60)
    client.filter()
    assert client.statuses == [409], client.statuses
    client = LocalStreamingClient(simulator.base, "wrong", enough=60)
    client.filter()
    assert client.statuses == [401], client.statuses
    client = LocalStreamingClient(simulator.base, TOKEN, enough=60)
    client.add_rules(tweepy.StreamRule("coffee OR tea OR music"))
    worker = client.filter(threaded=True)
    worker.join(support.PATIENCE)
    assert not worker.is_alive() and not client.statuses, client.statuses
    assert [e["title"] for e in client.errors] == ["operational-disconnect"], client.errors
    assert client.connects == 3, "after the message and after the cut it connected again"
    posts = [r.data.id for r in client.responses if r.data]  # the disconnect message is a response without data
    assert len(set(posts)) == len(posts) >= 59
    simulator.stop()


def write_faults(text):
    path = support.folder() / "faults.txt"
    path.write_text(text)
    return path


def test_a_wrong_secret_is_answered_401():
    simulator = Simulator()
    stream = LocalStream(simulator.base, API_KEY, "wrong", ACCESS_TOKEN, ACCESS_SECRET)
    stream.filter(track=["coffee"])
    assert stream.errors == [401] and not stream.tweets
    simulator.stop()


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
