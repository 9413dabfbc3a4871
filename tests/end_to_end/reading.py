"""An independent reading of v1.1 tweets: what roost must have made of them, worked out without roost's code."""
import html
import json


def snowflake_ms(identifier):
    return (int(identifier) >> 22) + 1288834974657


def full_text(tweet):
    """streaming APIs, "Rule for the full text": the longest text the payload has, the three HTML escapes decoded."""
    base = tweet.get("retweeted_status") or tweet
    text = (base.get("extended_tweet") or {}).get("full_text") or base.get("full_text") or base["text"]
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    if base is not tweet:
        text = f"RT @{base['user']['screen_name']}: {text}"
    return text.replace("\x00", "")


def entities(tweet):
    base = tweet.get("retweeted_status") or tweet
    extended = base.get("extended_tweet")
    return (extended or base).get("entities") or {}


def unique(values):
    return list(dict.fromkeys(values))


def expected_row(tweet):
    found = entities(tweet)
    language = tweet.get("lang")
    return {
        "id": tweet["id_str"],
        "text": full_text(tweet),
        "author_handle": tweet["user"]["screen_name"],
        "author_id": tweet["user"]["id_str"],
        "lang": {"in": "id", "iw": "he"}.get(language, language),
        "is_retweet": "retweeted_status" in tweet,
        "retweet_of": (tweet.get("retweeted_status") or {}).get("id_str"),
        "created_at_ms": snowflake_ms(tweet["id_str"]),
        "hashtags": unique(h["text"].lower() for h in found.get("hashtags", [])),
        "mentions": unique(m["screen_name"].lower() for m in found.get("user_mentions", [])),
        "urls": unique(u.get("expanded_url") or u["url"] for u in found.get("urls", [])),
    }


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
