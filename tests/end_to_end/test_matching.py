#!/usr/bin/env python3
"""The matcher agrees with an independent reading of the keyword lines, in five scripts and all forms of a line.

Usage: test_matching.py [--seed N] [--lines N]: the seed (also ROOST_SEED), and how many lines of each form and script (1,000).
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import unicodedata

import matching
import reading
import support
from support import folder, recorded

SCRIPTS = {"latin": "A-Za-z\u00c0-\u024f", "arabic": "\u0620-\u06ff", "thai": "\u0e01-\u0e4e", "japanese": "\u3041-\u30ff", "chinese": "\u4e00-\u9fff"}
SPACED = ("latin", "arabic")
FORMS = ("word", "two words", "phrase", "#tag", "@name", "$CASH", "exclusion", "mixed")
MADE_UP = 400  # posts of each script
FULL_WIDTH = {c: c + 0xFEE0 for c in range(0x21, 0x7F)}
HALF_WIDTH = {unicodedata.normalize("NFKC", chr(c)): chr(c) for c in range(0xFF66, 0xFF9E)}
BETWEEN = ["", "", " ", " ", "  ", ", ", ". ", "-", "・", "、", "。", "\n", "'", "’", " & ", "/", " ☺ ", "😀", " #", " @", "_", "「", "#", "\u3000"]


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(os.environ.get("ROOST_SEED", 20261125)))
    parser.add_argument("--lines", type=int, default=1000)
    return parser.parse_args()


def recorded_posts():
    """Text and lists of the recorded tweets and v2 posts, as on the bridge."""
    for tweet in reading.read_lines(recorded("tweets-v1.1.ndjson")):
        row = reading.expected_row(tweet)
        yield {"text": row["text"], "hashtags": row["hashtags"], "mentions": row["mentions"], "urls": row["urls"],
               "cashtags": [s["text"] for s in reading.entities(tweet).get("symbols", [])]}
    for line in reading.read_lines(recorded("x-v2-posts.ndjson")):
        entities = line["data"].get("entities", {})
        yield {"text": line["data"]["text"], "hashtags": [h["tag"] for h in entities.get("hashtags", [])],
               "mentions": [m["username"] for m in entities.get("mentions", [])], "urls": [u["expanded_url"] for u in entities.get("urls", [])],
               "cashtags": [c["tag"] for c in entities.get("cashtags", [])]}


def is_tag(sign, c):
    """May stand in a tag of a keyword line."""
    if sign == "#":
        return c == "_" or unicodedata.category(c)[0] in "LM" or unicodedata.category(c) == "Nd"
    return c.isascii() and (c.isalpha() or (sign == "@" and (c == "_" or c.isdigit())))


class Maker:
    """Makes up posts and keyword lines of one script out of the words of recorded texts."""

    def __init__(self, r, script, posts):
        self.r, self.script, self.spaced = r, script, script in SPACED
        has = re.compile(f"[{SCRIPTS[script]}]")
        kana = re.compile(f"[{SCRIPTS['japanese']}]")
        texts = [p["text"] for p in posts if has.search(p["text"]) and not (script == "chinese" and kana.search(p["text"]))]
        if script == "chinese":  # the few Chinese texts, and the Chinese words of the Japanese ones
            texts += ["".join(re.findall(r"[\u4e00-\u9fff。、]{2,}", p["text"])) for p in posts if kana.search(p["text"])]
        self.texts = [t for t in texts if has.search(t)]
        self.tags = {sign: [tag for p in posts if has.search(p["text"]) for tag in p[field]] or ["tag"]
                     for sign, field in (("#", "hashtags"), ("@", "mentions"), ("$", "cashtags"))}
        self.posts = [self.make_post() for _ in range(MADE_UP)]
        self.texts += [p["text"] for p in self.posts]
        for sign, field in (("#", "hashtags"), ("@", "mentions"), ("$", "cashtags")):
            self.tags[sign] = self.r.sample(self.tags[sign], min(200, len(self.tags[sign]))) + [tag for p in self.posts for tag in p[field]]

    def piece(self, text=None, most=1):
        """Up to `most` words that stand side by side in a text; of a script without spaces any few characters."""
        text = text or self.r.choice(self.texts)
        if self.spaced:
            words = text.split()
            at = self.r.randrange(len(words)) if words else 0
            return " ".join(words[at:at + self.r.randint(1, most)])
        places = [m.start() for m in re.finditer(f"[{SCRIPTS[self.script]}]", text)]
        at = self.r.choice(places) if places else 0
        return text[at:at + self.r.randint(1, 4 * most)]

    def change(self, text):
        """The same, or nearly: case, width, composition, cut, a neighbour swapped, an accent gone or there."""
        r = self.r
        how = r.choice(["as it is"] * 4 + ["upper", "lower", "title", "full", "half", "nfd", "nfc", "cut", "cut", "swap", "double", "fold"])
        at = r.randrange(len(text) + 1)
        if how in ("upper", "lower", "title"):
            return getattr(text, how)()
        if how == "full":
            return text.translate(FULL_WIDTH)
        if how == "half":
            return "".join(HALF_WIDTH.get(c, c) for c in unicodedata.normalize("NFD", text))
        if how in ("nfd", "nfc"):
            return unicodedata.normalize(how.upper(), text)
        if how == "cut":
            return r.choice([text[:at], text[at:]])
        if how == "swap":
            words = text.split(" ")
            r.shuffle(words)
            return " ".join(words) if len(words) > 1 else text[:at] + text[at:][::-1]
        if how == "double":
            return text[:at] + text[max(at - 1, 0):]
        return text.casefold() if how == "fold" else text

    def make_post(self):
        r = self.r
        text = "".join(self.change(self.piece(most=2)) + r.choice(BETWEEN) for _ in range(r.randint(1, 12)))
        names = [[self.change(self.name(sign)) for _ in range(r.randint(0, 2))] for sign in "#@$"]
        link = [f"https://{self.clean(self.piece()) or 'a'}.example/{self.clean(self.piece())}"] if r.random() < 0.2 else []
        return {"text": text, "hashtags": names[0], "mentions": names[1], "cashtags": names[2], "urls": link}

    def clean(self, text, sort=r"[^\w'’.&+·・ー/-]"):
        """Without what has a meaning in a keyword line."""
        return re.sub(r'["“”＂,]|^[-=#@$＃＠\s]+', "", re.sub(sort, "", text))

    def name(self, sign):
        if self.r.random() < 0.5:
            return self.r.choice(self.tags[sign])
        return re.sub(r"\W", "", self.piece()) or "name"

    def word(self, text=None):
        while True:
            word = self.clean(self.change(self.clean(self.piece(text)))).strip()
            if matching.words_of(word):
                return word
            text = None  # it may have none

    def phrase(self):
        while True:
            phrase = self.change(self.piece(most=self.r.randint(1, 4)))
            if not self.spaced and self.r.random() < 0.5:  # a word of a phrase ends where the text has no gap
                at = self.r.randrange(len(phrase) + 1)
                phrase = phrase[:at] + " " + phrase[at:]
            phrase = re.sub(r'["\n\r\t]', " ", phrase)
            if matching.words_of(phrase):
                return f'"{phrase}"'

    def tag(self, sign):
        while True:
            name = "".join(c for c in self.change(self.r.choice(self.tags[sign])) if is_tag(sign, c))
            if any(unicodedata.category(c)[0] == "L" for c in name) and (sign != "$" or len(name) <= 6):
                return sign + name

    def line(self, form):
        r = self.r
        if form == "word":
            return self.word()
        if form == "two words":
            text = r.choice(self.texts)
            return f"{self.word(text)} {self.word(text)}"
        if form == "phrase":
            return self.phrase()
        if form in ("#tag", "@name", "$CASH"):
            return self.tag(form[0])
        if form == "exclusion":
            return "-" + self.line(r.choice(["word", "phrase", "#tag", "@name", "$CASH"]))
        parts = [self.line(r.choice(["word", "word", "phrase", "#tag", "@name", "exclusion"])) for _ in range(r.randint(2, 3))]
        return " ".join(parts)


def answers(lines, posts):
    """What the matcher says: for each post, the lines that match and those that exclude."""
    (folder() / "lines").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (folder() / "posts").write_text("".join(json.dumps({"v": 1, "kind": "post", **post}) + "\n" for post in posts))
    done = subprocess.run([os.environ["MATCH_LINES"], folder() / "lines", folder() / "posts"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=support.PATIENCE)
    assert done.returncode == 0 and "Sanitizer" not in done.stderr, done.stderr[-3000:]
    for line in done.stdout.splitlines():
        yield tuple({int(number) for number in numbers.split()} for numbers in line.split(";"))


def compare(script, lines, posts, texts):
    """(disagreements as text, for each line how many posts it matches or excludes)."""
    expected = [(set(), set()) for _ in posts]
    for number, line in enumerate(lines):
        for which, there in enumerate(texts.matching(matching.parse(line))):
            for post in there:
                expected[post][which].add(number)
    faults, hits = [], [0] * len(lines)
    for post, said, right in zip(posts, answers(lines, posts), expected, strict=True):
        for which, verb in ((0, "matches"), (1, "excludes")):
            for number in right[which]:
                hits[number] += 1
            faults += [f"{script}: {lines[n]!r} {verb} by {'the matcher' if n in said[which] else 'the reading'} alone: {post}"
                       for n in said[which] ^ right[which]]
    return faults, hits


def test_matcher_and_independent_reading_agree_in_every_script_and_form():
    chosen = options()
    recorded_ones = list(recorded_posts())
    makers = [Maker(random.Random(f"{chosen.seed} {script}"), script, recorded_ones) for script in SCRIPTS]
    posts = recorded_ones + [post for maker in makers for post in maker.posts]
    texts = matching.Posts(posts)
    for maker in makers:
        lines = [maker.line(form) for form in FORMS for _ in range(chosen.lines)]
        faults, hits = compare(maker.script, lines, posts, texts)
        found = {form: sum(1 for h in hits[i * chosen.lines:(i + 1) * chosen.lines] if h) for i, form in enumerate(FORMS)}
        print(f"{maker.script}: {len(lines)} lines, {len(posts)} posts, {sum(hits)} hits, {len(faults)} disagreements; lines that find something: {found}",
              flush=True)
        assert chosen.lines < 200 or all(chosen.lines // 20 < number < chosen.lines for number in found.values()), "a form that finds too little, or always, tests nothing"
        assert not faults, "\n".join(faults[:20])


if __name__ == "__main__":
    support.run_tests(sys.modules[__name__])
