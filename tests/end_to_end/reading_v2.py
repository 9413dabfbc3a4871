"""An independent reading of v2 payloads: what roost must have made of them, worked out without roost's code.

One line is {"data": the post, "includes": what it refers to, "matching_rules": why it came}.
"""
import datetime
import json

from reading import snowflake_ms, unique


def either(mapping, *keys):
    """The value under the first of these keys that is there: prose and OpenAPI name some things differently."""
    for key in keys:
        if mapping.get(key) is not None:
            return mapping[key]
    return None


def decoded(text):
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\x00", "")


def time_ms(text):
    return None if text is None else round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def count(value):
    return None if value is None or value < 0 else value


class Line:
    def __init__(self, line, raw=None):
        self.data = line["data"]
        self.raw = raw if raw is not None else line
        self.rules = line.get("matching_rules") or []
        includes = line.get("includes") or {}
        self.users = {user["id"]: user for user in includes.get("users", [])}
        self.posts = {post["id"]: post for post in either(includes, "tweets", "posts") or []}
        self.media = {item["media_key"]: item for item in includes.get("media", [])}
        self.places = {place["id"]: place for place in includes.get("places", [])}

    def reference(self, post, kind):
        for reference in either(post, "referenced_tweets", "referenced_posts") or []:
            if reference["type"] == kind:
                return reference["id"]
        return None

    def original(self):
        return self.posts.get(self.reference(self.data, "retweeted"))

    def original_name(self):
        user = self.users.get(self.original()["author_id"])
        if user:
            return user["username"]
        head, colon, _ = self.data["text"].partition(": ")
        return head[4:] if colon and head.startswith("RT @") else None

    def body(self):
        """Where the text comes from: the original of a retweet, if both it and a name for it are there."""
        original = self.original()
        return original if original and self.original_name() else self.data

    def text(self):
        body = self.body()
        note = either(body, "note_tweet", "note_post")
        text = decoded(note["text"] if note else body["text"])
        return text if body is self.data else f"RT @{self.original_name()}: {text}"

    def text_source(self):
        body = self.body()
        if either(body, "note_tweet", "note_post"):
            return "note_tweet"
        cut = self.reference(self.data, "retweeted") and body is self.data and body["text"].endswith("\u2026")
        return "cut" if cut else "text"

    def entities(self):
        body = self.body()
        return (either(body, "note_tweet", "note_post") or body).get("entities") or {}

    def media_addresses(self):
        for post in (self.body(), self.data):
            keys = (post.get("attachments") or {}).get("media_keys", [])
            found = [self.media[key] for key in keys if key in self.media]
            addresses = [item.get("url") or item.get("preview_image_url") for item in found]
            if any(addresses):
                return unique(address for address in addresses if address)
        return []

    def row(self):
        data, found = self.data, self.entities()
        user = self.users.get(data.get("author_id")) or {}
        of_user, metrics = user.get("public_metrics") or {}, data.get("public_metrics") or {}
        original = self.original() or {}
        geo = data.get("geo") or {}
        place = self.places.get(geo.get("place_id")) or {}
        point = (geo.get("coordinates") or {}).get("coordinates") or [None, None]
        history = either(data, "edit_history_tweet_ids", "edit_history_post_ids") or [data["id"]]
        quoted = self.reference(self.body(), "quoted") or self.reference(data, "quoted")
        language = data.get("lang")
        return {
            "network": "x", "id": data["id"], "created_at_ms": snowflake_ms(data["id"]),
            "author_id": data.get("author_id"), "author_handle": user.get("username"), "author_name": user.get("name"),
            "author_followers": of_user.get("followers_count"), "author_following": of_user.get("following_count"),
            "author_posts": of_user.get("tweet_count"), "author_verified": user.get("verified"),
            "author_created_ms": time_ms(user.get("created_at")),
            "lang": {"in": "id", "iw": "he"}.get(language, language), "text": self.text(), "text_source": self.text_source(),
            "hashtags": unique(h["tag"].lower() for h in found.get("hashtags", [])),
            "cashtags": unique(c["tag"].lower() for c in found.get("cashtags", [])),
            "mentions": unique(m["username"].lower() for m in found.get("mentions", [])),
            "urls": unique(either(u, "expanded_url", "unwound_url", "url") for u in found.get("urls", [])),
            "media": self.media_addresses(), "rules": [rule.get("tag") or str(rule["id"]) for rule in self.rules],
            "is_retweet": self.reference(data, "retweeted") is not None, "is_quote": quoted is not None,
            "is_reply": self.reference(data, "replied_to") is not None, "retweet_of": self.reference(data, "retweeted"),
            "retweet_author": original.get("author_id"), "quote_of": quoted, "reply_to": self.reference(data, "replied_to"),
            "reply_to_author": data.get("in_reply_to_user_id"), "conversation_id": data.get("conversation_id"),
            "edit_of": history[0] if history[0] != data["id"] else None, "likes": count(metrics.get("like_count")),
            "retweets": count(metrics.get("retweet_count")), "replies": count(metrics.get("reply_count")),
            "quotes": count(metrics.get("quote_count")), "app": data.get("source"), "sensitive": data.get("possibly_sensitive"),
            "place": place.get("full_name"), "country": place.get("country_code"), "longitude": point[0], "latitude": point[1],
            "withheld_in": (data.get("withheld") or {}).get("country_codes", []), "raw": self.raw,
        }


# How the columns are asked for, so that a row of the table looks like Line.row().
COLUMNS = ("network, id, round(extract(epoch from created_at) * 1000)::bigint as created_at_ms, author_id, author_handle, "
           "author_name, author_followers, author_following, author_posts, author_verified, "
           "round(extract(epoch from author_created_at) * 1000)::bigint as author_created_ms, lang, text, text_source, hashtags, "
           "cashtags, mentions, urls, media, rules, is_retweet, is_quote, is_reply, retweet_of, retweet_author, quote_of, reply_to, "
           "reply_to_author, conversation_id, edit_of, likes, retweets, replies, quotes, app, sensitive, place, country, longitude, "
           "latitude, withheld_in, raw")


def differences(lines, rows):
    """What rows differ from what the lines (of Line) say, as (id, column, expected, found)."""
    found = {row["id"]: row for row in rows}
    wrong = []
    for line in lines:
        row = found.get(line.data["id"])
        for column, value in line.row().items():
            if row is None or row[column] != value:
                wrong.append((line.data["id"], column, value, row and row[column]))
    return wrong


def from_v1(tweet):
    """The line in which v2 would deliver a v1.1 tweet that is no retweet and no quote."""
    whole = tweet.get("extended_tweet") or {}
    entities = whole.get("entities") or tweet["entities"]
    user = tweet["user"]
    created = datetime.datetime.fromtimestamp(snowflake_ms(tweet["id_str"]) // 1000, datetime.timezone.utc)
    return json.dumps({
        "data": {"id": tweet["id_str"], "text": whole.get("full_text") or tweet["text"], "author_id": user["id_str"],
                 "created_at": created.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "lang": tweet.get("lang", "und"),
                 "entities": {"hashtags": [{"tag": h["text"]} for h in entities.get("hashtags", [])],
                              "mentions": [{"username": m["screen_name"]} for m in entities.get("user_mentions", [])],
                              "urls": [{"url": u["url"], "expanded_url": u["expanded_url"]} for u in entities.get("urls", [])]}},
        "includes": {"users": [{"id": user["id_str"], "name": user["name"], "username": user["screen_name"]}]},
        "matching_rules": [{"id": "1", "tag": "all"}]}).encode()
