#!/usr/bin/env python3
"""Keyword files of 10, 1,000 and 100,000 lines as rules: an independent evaluator says what each rule matches."""
import json
import random
import sys

import rule_evaluator
from rule_evaluator import Index, Post, Rule, fold, is_hashtag, tokens
from support import folder, roost

SEED = 20260727
ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "абвгдежзиклмнопрстуфхцчшщыэюя", "αβγδεζηθικλμνξοπρτυφχψω", "אבגדהוזחטילמנסעפצקרשת",
             "ابتثجحخدذرزسشصضطظعغفقلمنهوي", "कखगघचछजझटठडढतथदधनपफबभमयरलवशसह", "東京大阪日本語新聞社会政治経済", "가나다라마바사아자차카타파하", "éèàçñöüß"]
LANGUAGES = {"en": ["en"], "id": ["in"], "zh": ["zh-CN", "zh-TW"]}  # as configured, as X spells them
CODES = [code for codes in LANGUAGES.values() for code in codes]


class Line:
    """A keyword line, read by the design's section 4: what it is made of, and whether a post has it."""

    def __init__(self, number, text, parts):
        self.number, self.text, self.parts = number, text, parts  # parts: (kind, text), kinds w p # @ $

    def part_matches(self, kind, text, post):
        if kind == "w":
            return post.has_phrase(tokens(text)) or fold(text) in post.hashtags or fold(text) in post.mentions
        if kind == "p":
            return post.has_phrase(tokens(text))
        return fold(text) in {"#": post.hashtags, "@": post.mentions, "$": post.cashtags}[kind]

    def matches(self, post):
        return all(self.part_matches(kind, text, post) for kind, text in self.parts)

    def keys(self):
        kind, text = self.parts[0]
        if kind == "w":
            return {max(tokens(text), key=len), "#" + fold(text), "@" + fold(text)}
        return {max(tokens(text), key=len)} if kind == "p" else {kind + fold(text)}


def word(r, alphabet=None):
    alphabet = alphabet or (ALPHABETS[0] if r.random() < 0.6 else r.choice(ALPHABETS))
    return "".join(r.choice(alphabet) for _ in range(r.randint(3, 10)))


def make_line(r, number):
    kind = r.choices(["word", "two", "phrase", "tag", "name", "cash", "hyphen", "mixed"], [50, 12, 12, 8, 6, 3, 5, 4])[0]
    latin = "".join(r.choice(ALPHABETS[0]) for _ in range(r.randint(3, 12)))
    if kind == "word":
        w = word(r)
        return Line(number, w.title() if r.random() < 0.2 and w.isascii() else w, [("w", w)])
    if kind == "two":
        a, b = word(r), word(r)
        return Line(number, f"{a} {b}", [("w", a), ("w", b)])
    if kind == "phrase":
        a, b = word(r), word(r)
        return Line(number, f'"{a} {b}"', [("p", f"{a} {b}")])
    if kind == "tag":
        w = word(r)
        return Line(number, "#" + w, [("#", w)])
    if kind == "name":
        return Line(number, "@" + latin, [("@", latin)])
    if kind == "cash":
        return Line(number, "$" + latin[:5].upper(), [("$", latin[:5])])
    if kind == "hyphen":
        a, b = word(r, ALPHABETS[0]), word(r, ALPHABETS[0])
        return Line(number, f"{a}-{b}", [("w", f"{a}-{b}")])
    a, b = word(r), word(r)
    return Line(number, f'{a} "{b} {latin}"', [("w", a), ("p", f"{b} {latin}")])


def posts_of(r, line, lang):
    """Posts that have the line: (what it shows, post)."""
    text, entities = ["yesterday", "nothing"], {"hashtags": [], "mentions": [], "cashtags": []}
    names = {"#": "hashtags", "@": "mentions", "$": "cashtags"}
    for kind, part in r.sample(line.parts, len(line.parts)):
        if kind == "w" and is_hashtag(part) and r.random() < 0.4:  # as #word or @word, where the text does not show it
            entities["mentions" if part.isascii() and r.random() < 0.5 else "hashtags"].append(part)
            continue
        text.insert(r.randint(0, len(text)), f"{kind}{part}" if kind in names else r.choice([part, part.upper() if part.isascii() else part, f"({part})!"]))
        if kind in names:
            entities[names[kind]].append(part)
    return Post(" ".join(text), lang, **entities)


def near_misses(r, line, lang):
    """Posts that are nearly but not quite the line's, or are left out by the list's conditions."""
    kind, part = line.parts[0]
    names = {"#": "hashtags", "@": "mentions", "$": "cashtags"}
    whole = posts_of(r, line, lang)
    yield Post(whole.text + "x", "fr", whole.hashtags, whole.mentions, whole.cashtags)
    yield Post(whole.text, lang, whole.hashtags, whole.mentions, whole.cashtags, retweet=True)
    yield Post(whole.text + " unwanted", lang, whole.hashtags, whole.mentions, whole.cashtags)
    yield Post(whole.text, lang, [*whole.hashtags, "spamtag"], whole.mentions, whole.cashtags)
    if kind in names:
        yield Post(f"{part} {part}x", lang, **{names[kind]: [part + "x"]})
    elif len(line.parts) == 1:
        yield Post(f"see {part}q and q{part}", lang, [part + "q"], [part + "q"])
        if " " in part:
            a, b = part.split(" ")
            yield Post(f"{b} {a}, then {a} between {b}", lang)
    else:
        yield Post(f"only {part} is here", lang)


class Oracle:
    """Which lines a post has, by the lines' own reading."""

    def __init__(self, lines, wanted_codes, conditions):
        self.filed, self.codes, self.conditions = {}, set(wanted_codes), conditions
        for line in lines:
            for key in line.keys():
                self.filed.setdefault(key, []).append(line)

    def lines_of(self, post):
        if self.conditions and (post.lang not in self.codes or post.flags["retweet"] or "unwanted" in post.set or "spamtag" in post.hashtags):
            return set()
        return {line.number for key in post.keys for line in self.filed.get(key, ()) if line.matches(post)}


def compile_rules(name, lines, length, maximum, more=""):
    home = folder() / name
    home.mkdir()
    (home / "keywords.txt").write_text("\n".join(line.text for line in lines) + "\n", encoding="utf-8")
    conf = home / "roost.conf"
    conf.write_text(f"[source x]\ntype = x-v2\nbearer_token = hush\nrule_length = {length}\nrules_maximum = {maximum}\n"
                    f"[filter]\nkeywords = -unwanted, -#spamtag\nkeywords_file = keywords.txt\nlanguages = {', '.join(LANGUAGES)}\nretweets = no\n{more}")
    conf.chmod(0o600)
    return [json.loads(text) for text in roost("rules", "show", "--json", "-c", conf).splitlines()]


def check(count, length, maximum, languages_each, misses):
    r = random.Random(SEED + count)
    lines = [make_line(r, number) for number in range(1, count + 1)]
    shown = compile_rules(f"list{count}", lines, length, maximum)
    assert len(shown) <= maximum
    assert len({rule["value"] for rule in shown}) == len(shown), "equal rules would be refused as duplicates"
    assert len({rule["tag"] for rule in shown}) == len(shown)
    rules = [Rule(rule["value"], length) for rule in shown]  # each is valid and within its length
    lines_of = {rule["value"]: {k["line"] for k in rule["keywords"]} for rule in shown}
    asked = set().union(*lines_of.values())
    assert asked == set(range(1, count + 1)), "each line is in a rule"
    index, oracle = Index(rules), Oracle(lines, CODES, True)

    def compare(post, wanted=None):
        expected = oracle.lines_of(post)
        assert wanted is None or wanted in expected, (wanted, post.text)
        found = index.matching(post)
        reached = set().union(*(lines_of[value] for value in found)) if found else set()
        assert expected <= reached, f"lines {sorted(expected - reached)} are not asked for: {post.text!r} {post.lang}"
        for value in found:  # nothing else: a rule that matches has a line that does
            assert expected & lines_of[value], f"matched by {value[:300]!r}, and no line asks for it: {post.text!r} {post.lang}"
    for line in lines:
        for code in CODES if languages_each == len(CODES) else r.sample(CODES, languages_each):
            compare(posts_of(r, line, code), line.number)
    for line in lines if misses >= count else r.sample(lines, misses):
        for post in near_misses(r, line, r.choice(CODES)):
            compare(post)
    full = sum(rule["length"] for rule in shown) / len(shown) / length
    print(f"  {count} lines: {len(shown)} rules, {100 * full:.0f} % full")


def test_the_evaluator_does_what_the_documents_say():
    rule_evaluator.self_test()


def test_ten_lines_are_asked_for_and_nothing_else():
    check(10, 1024, 1000, len(CODES), 10)


def test_a_thousand_lines_are_asked_for_and_nothing_else():
    check(1000, 1024, 1000, len(CODES), 1000)


def test_a_hundred_thousand_lines_are_asked_for_and_nothing_else():
    check(100000, 2048, 25000, 1, 5000)


def test_small_limits_are_kept_too():
    r = random.Random(SEED)
    lines = [make_line(r, number) for number in range(1, 200)]
    for length in (220, 256, 512):
        for rule in compile_rules(f"small{length}", lines, length, 1000):
            Rule(rule["value"], length)


if __name__ == "__main__":
    import support
    support.run_tests(sys.modules[__name__])
