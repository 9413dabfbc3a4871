"""Rules of X's v2 filtered stream, read and evaluated as the API's documents say (operators, precedence, tokens).

Written from the documents alone, not from roost. A rule is parsed into a tree; `Rule.matches(post)` says whether it matches.
`Index` finds the rules that match among thousands: each rule is filed under one token for every alternative it has, so a post
is compared only with rules that can match it.

What counts here: a space is AND and binds before OR, `-` negates one operator and never a group, a rule needs something
that may stand alone, case is ignored and accents are not; a keyword is compared with the tokens of the text, which is split at
punctuation, symbols and separators; #, @ and $ compare with whole entities.
"""
import functools
import re
import unicodedata


class RuleError(ValueError):
    pass


CONJUNCTION_REQUIRED = {"is", "has", "lang", "sample", "followers_count", "tweets_count", "following_count", "listed_count", "min_followers",
                        "url_title", "url_description", "url_contains", "source", "in_reply_to_tweet_id", "retweets_of_tweet_id"}
LANGUAGES = set("am ar bg bn ca cs da de el en es et eu fa fi fr gu hi hr hu hy in it iw ja ka kn ko lt lv ml mr nl no pl pt ro ru sk sl sr sv ta "
                "te th tr uk ur vi zh-CN zh-TW bo bs ckb cy dv hi-Latn ht is km lo my ne or pa ps sd si tl ug und".split())
IS = {"retweet", "reply", "quote", "verified", "nullcast"}


category = functools.lru_cache(maxsize=None)(unicodedata.category)


def is_hashtag(name):
    """Letters, marks, digits and '_', at least one of them a letter."""
    return all(category(c)[0] in "LM" or category(c) == "Nd" or c in "_·" for c in name) and any(category(c)[0] == "L" for c in name)


def fold(text):
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def tokens(text):
    """Split at punctuation, symbols and separators; an emoji is a token of its own."""
    out, word = [], ""
    for c in fold(text):
        kind = category(c)
        if kind[0] in "LNM":
            word += c
            continue
        if word:
            out.append(word)
            word = ""
        if kind == "So":
            out.append(c)
    if word:
        out.append(word)
    return out


class Post:
    """What a post is to a rule. Entities are given, as a network gives them."""

    def __init__(self, text, lang="en", hashtags=(), mentions=(), cashtags=(), retweet=False, reply=False, quote=False, author=""):
        self.text, self.lang = text, lang
        self.tokens = tokens(text)
        self.set = set(self.tokens)
        self.hashtags, self.mentions, self.cashtags = ({fold(x) for x in names} for names in (hashtags, mentions, cashtags))
        self.flags = {"retweet": retweet, "reply": reply, "quote": quote, "verified": False, "nullcast": False}
        self.author = fold(author)
        self.keys = self.set | {"#" + x for x in self.hashtags} | {"@" + x for x in self.mentions} | {"$" + x for x in self.cashtags}
        if author:
            self.keys.add("from:" + self.author)

    def has_phrase(self, words):
        if not words or any(w not in self.set for w in words):
            return False
        n = len(words)
        return any(self.tokens[i:i + n] == words for i in range(len(self.tokens) - n + 1))


LEXER = re.compile(r'\s+|(?P<open>\()|(?P<close>\))|(?P<piece>-?(?:[^\s()"\[]+)?(?:"[^"]*"(?:~\d)?|\[[^\]]*\])?)')


def lex(rule):
    at, out = 0, []
    while at < len(rule):
        m = LEXER.match(rule, at)
        if not m or m.end() == at:
            raise RuleError(f"cannot read {rule[at:at + 20]!r} at {at}")
        if m.lastgroup:
            if m.lastgroup == "piece" and m.group() == "-":
                raise RuleError(f"a negated group or a lone hyphen at {at}")
            if out and m.lastgroup == "piece" and out[-1][0] == "piece" and not rule[at - 1].isspace():
                raise RuleError(f"no space before {m.group()!r}")
            out.append((m.lastgroup, m.group()))
        at = m.end()
    return out


class Rule:
    def __init__(self, text, length=1024, compiled=True):
        if len(text) > length or len(text.encode("utf-16-le")) // 2 > length:
            raise RuleError(f"{len(text)} characters, {length} are allowed")
        self.text = text
        self.lexed, self.at, self.standalone = lex(text), 0, False
        self.tree = self.read_or()
        if self.at != len(self.lexed):
            raise RuleError("a bracket too many: " + text)
        if not self.standalone:
            raise RuleError("nothing may stand alone: " + text)
        del self.lexed

    def peek(self):
        return self.lexed[self.at] if self.at < len(self.lexed) else (None, None)

    def read_or(self):
        parts = [self.read_and()]
        while self.peek() == ("piece", "OR"):
            self.at += 1
            parts.append(self.read_and())
        return parts[0] if len(parts) == 1 else ("or", parts)

    def read_and(self):
        parts = []
        while self.peek()[0] in ("open", "piece") and self.peek() != ("piece", "OR"):
            kind, text = self.peek()
            self.at += 1
            if kind == "open":
                parts.append(self.read_or())
                if self.peek()[0] != "close":
                    raise RuleError("a bracket that does not close")
                self.at += 1
            else:
                parts.append(self.read_piece(text))
        if not parts:
            raise RuleError("nothing between operators: " + self.text[:200])
        return parts[0] if len(parts) == 1 else ("and", parts)

    def read_piece(self, text):
        negated = text.startswith("-")
        text = text[negated:]
        leaf = self.read_leaf(text, negated)
        return ("not", leaf) if negated else leaf

    def read_leaf(self, text, negated):
        name, colon, value = text.partition(":")
        if text[0] == '"':
            words = tokens(text[1:].rpartition('"')[0])
            if not words:
                raise RuleError(f"an empty phrase {text!r}")
            self.standalone |= not negated
            return ("phrase", words)
        if colon:
            if name == "lang" and value not in LANGUAGES:
                raise RuleError(f"no language {value!r}")
            if name == "is" and value not in IS:
                raise RuleError(f"no is:{value}")
            if name not in CONJUNCTION_REQUIRED and name != "from":
                raise RuleError(f"Reference to invalid operator '{name}'")
            self.standalone |= not negated and name not in CONJUNCTION_REQUIRED
            return (name, value)
        self.standalone |= not negated
        if text[0] in "#@$":
            entity = is_hashtag(text[1:]) if text[0] == "#" else re.fullmatch(r"@[A-Za-z0-9_]{1,15}|\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?", text)
            if not entity:
                raise RuleError(f"no entity {text!r}")
            return (text[0], fold(text[1:]))
        if text in ("and", "or", "AND", "NOT", "not"):
            raise RuleError(f"ambiguous use of {text!r}: quote it")
        if len(tokens(text)) != 1 or not all(category(c)[0] in "LNM" for c in text):
            raise RuleError(f"a keyword with punctuation must be quoted: {text!r}")
        return ("phrase", tokens(text))

    def matches(self, post):
        return evaluate(self.tree, post)


def evaluate(tree, post):
    kind, value = tree
    if kind == "or":
        return any(evaluate(part, post) for part in value)
    if kind == "and":
        return all(evaluate(part, post) for part in value)
    if kind == "not":
        return not evaluate(value, post)
    if kind == "phrase":
        return post.has_phrase(value)
    if kind == "#":
        return value in post.hashtags
    if kind == "@":
        return value in post.mentions
    if kind == "$":
        return value in post.cashtags
    if kind == "lang":
        return post.lang == value
    if kind == "is":
        return post.flags[value]
    if kind == "from":
        return post.author == fold(value)
    raise RuleError(f"{kind}: is not evaluated here")


def keys_of(tree):
    """Tokens of which a matching post has at least one; None: nothing can be said."""
    kind, value = tree
    if kind == "or":
        found = [keys_of(part) for part in value]
        return None if None in found else set().union(*found)
    if kind == "and":
        found = [keys for keys in map(keys_of, value) if keys is not None]
        return min(found, key=len) if found else None
    if kind == "phrase":
        return {max(value, key=len)}
    if kind in "#@$":
        return {kind + value}
    if kind == "from":
        return {"from:" + fold(value)}
    return None


def flatten(tree):
    """(alternatives, conditions): a rule of one OR list beside conditions, as a list of small trees."""
    kind, value = tree
    if kind == "and":
        groups = [part for part in value if keys_of(part) is not None]
        rest = [part for part in value if keys_of(part) is None]
        if len(groups) == 1:
            return flatten(groups[0])[0], rest
        return [("and", groups)], rest
    return (value, []) if kind == "or" else ([tree], [])


class Index:
    def __init__(self, rules):
        """rules: Rule objects. Each alternative is filed under one token that a matching post must have."""
        self.filed = {}
        for rule in rules:
            alternatives, conditions = flatten(rule.tree)
            for alternative in alternatives:
                for key in keys_of(alternative):
                    self.filed.setdefault(key, []).append((rule, alternative, conditions))

    def matching(self, post):
        """The set of texts of the rules that match."""
        found = set()
        for key in post.keys:
            for rule, alternative, conditions in self.filed.get(key, ()):
                if rule.text not in found and evaluate(alternative, post) and all(evaluate(c, post) for c in conditions):
                    found.add(rule.text)
        return found


def self_test():
    post = Post("I like Coca-Cola and #cats, says @Ada", hashtags=["cats"], mentions=["Ada"])
    yes = ["coca", '"coca-cola"', "#CATS", "@ada", "apple OR like says", "(apple OR cola) lang:en", "cats -dogs", '"like coca"', "cola -is:retweet"]
    no = ["coc", '"cola coca"', "#cat", "@ad", "apple OR like pear", "(apple OR like) pear", "cola lang:fr", "cats -says", "from:bob OR pear"]
    bad = ["coca-cola", "-cats", "(cat", "cat)", "cat OR", "OR cat", "-(cat dog)", "lang:en", "lang:id cat", "h:m", '"', "cat ()", "and", '"a"b']
    for text in yes:
        assert Rule(text).matches(post) and Index([Rule(text)]).matching(post), text
    for text in no:
        assert not Rule(text).matches(post) and not Index([Rule(text)]).matching(post), text
    for text in bad:
        try:
            Rule(text)
        except RuleError:
            continue
        raise AssertionError(f"{text!r} was taken")


if __name__ == "__main__":
    self_test()
