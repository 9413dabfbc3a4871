"""An independent reading of what a keyword line finds in a post, from text/matcher.h and text/keyword.h alone.

A text becomes a list of words, each with a flag that says whether something stands between it and the word before; a keyword's part
becomes such a list too, and is looked for by comparing words at every place where its rarest word stands.
"""
import re
import unicodedata

def ranges(text):
    return [(int(item.split("-")[0], 16), int(item.split("-")[-1], 16)) for item in text.split()]


# Scripts that write no spaces between words, by blocks.
UNSPACED = ranges("""
    e00-eff 1000-109f 1780-17ff 19e0-19ff 2e80-2fdf 3005-3007 3021-3029 3031-3035 3038-303c 3041-3096 309d-30ff 3190-319f 31f0-31ff
    3220-3247 3280-32b0 3400-4dbf 4e00-9fff a9e0-a9ff aa60-aa7f f900-faff 1b000-1b16f 20000-3ffff""")
# Unicode's property Emoji, 14.0, without ASCII.
EMOJI = ranges("""
    a9 ae 203c 2049 2122 2139 2194-2199 21a9-21aa 231a-231b 2328 23cf 23e9-23f3 23f8-23fa 24c2 25aa-25ab 25b6 25c0 25fb-25fe 2600-2604 260e
    2611 2614-2615 2618 261d 2620 2622-2623 2626 262a 262e-262f 2638-263a 2640 2642 2648-2653 265f-2660 2663 2665-2666 2668 267b 267e-267f
    2692-2697 2699 269b-269c 26a0-26a1 26a7 26aa-26ab 26b0-26b1 26bd-26be 26c4-26c5 26c8 26ce-26cf 26d1 26d3-26d4 26e9-26ea 26f0-26f5
    26f7-26fa 26fd 2702 2705 2708-270d 270f 2712 2714 2716 271d 2721 2728 2733-2734 2744 2747 274c 274e 2753-2755 2757 2763-2764 2795-2797
    27a1 27b0 27bf 2934-2935 2b05-2b07 2b1b-2b1c 2b50 2b55 3030 303d 3297 3299 1f004 1f0cf 1f170-1f171 1f17e-1f17f 1f18e 1f191-1f19a
    1f1e6-1f1ff 1f201-1f202 1f21a 1f22f 1f232-1f23a 1f250-1f251 1f300-1f321 1f324-1f393 1f396-1f397 1f399-1f39b 1f39e-1f3f0 1f3f3-1f3f5
    1f3f7-1f4fd 1f4ff-1f53d 1f549-1f54e 1f550-1f567 1f56f-1f570 1f573-1f57a 1f587 1f58a-1f58d 1f590 1f595-1f596 1f5a4-1f5a5 1f5a8
    1f5b1-1f5b2 1f5bc 1f5c2-1f5c4 1f5d1-1f5d3 1f5dc-1f5de 1f5e1 1f5e3 1f5e8 1f5ef 1f5f3 1f5fa-1f64f 1f680-1f6c5 1f6cb-1f6d2 1f6d5-1f6d7
    1f6dd-1f6e5 1f6e9 1f6eb-1f6ec 1f6f0 1f6f3-1f6fc 1f7e0-1f7eb 1f7f0 1f90c-1f93a 1f93c-1f945 1f947-1f9ff 1fa70-1fa74 1fa78-1fa7c
    1fa80-1fa86 1fa90-1faac 1fab0-1faba 1fac0-1fac5 1fad0-1fad9 1fae0-1fae7 1faf0-1faf6""")
APOSTROPHES = "'’ʼ＇"
UNSEEN = "\u00ad\ufe0e\ufe0f"  # a soft hyphen and the variation selectors of emoji
JOINERS = "\u200c\u200d"


def within(blocks, c):
    return any(low <= ord(c) <= high for low, high in blocks)


def narrow(c):
    """Full-width letters and half-width katakana are those of the usual width."""
    shape = unicodedata.decomposition(c)
    return "".join(chr(int(code, 16)) for code in shape.split()[1:]) if shape.startswith(("<wide>", "<narrow>")) else c


def fold(text):
    """Case, width and composition are the same; accents are not."""
    plain = "".join(c if c < "\u3000" else narrow(c) for c in text)
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain).casefold())


def sort_of(c):
    """l: a letter or number, n: an underscore, u: one of a script without spaces, m: a mark, e: an emoji, a: an apostrophe, j: a joiner, -: between words."""
    category = unicodedata.category(c)
    if c in APOSTROPHES or c in JOINERS:
        return "a" if c in APOSTROPHES else "j"
    if c == "_":
        return "n"
    if category[0] in "LN" or (category[0] == "M" and within(UNSPACED, c)):
        return "u" if within(UNSPACED, c) else "l"
    return "m" if category[0] == "M" else "e" if within(EMOJI, c) else "-"


def emoji_end(text, at):
    """Where the emoji that begins here ends: with skin tone, keycap, tags, joined emoji; two regional indicators are one flag."""
    flag = r"[\U0001F1E6-\U0001F1FF]"
    more = r"(?:[\U0001F3FB-\U0001F3FF\u20E3\U000E0020-\U000E007F])*"
    end = re.compile(f"(?:{flag}{flag}|.){more}", re.S).match(text, at).end()
    while end + 1 < len(text) and text[end] == "\u200d" and sort_of(text[end + 1]) == "e":
        end = re.compile(f".{more}", re.S).match(text, end + 1).end()
    return end


def spaced_words(run, is_name):
    """The words of a run of letters with apostrophes inside: a short elided word and a possessive 's are words beside the apostrophe."""
    if is_name:
        return [run]
    words = [""]
    for piece in re.split("(')", re.sub(f"[{APOSTROPHES}]", "'", run.strip("_"))):
        words[-1] += piece if piece != "'" else "\0"
    whole = words[0].split("\0")
    words = [whole[0]]
    for i, piece in enumerate(whole[1:], 1):
        if len(whole[i - 1]) <= 2 or piece == "s":
            words += ["'", piece]
        else:
            words[-1] += "'" + piece
    return [word.strip("_") for word in words]


def words_of(text):
    """[(word, apart, packed)]: apart: white space, punctuation or a symbol stands before the word; packed: the word is one character of a
    script without spaces."""
    text = "".join(c for c in fold(text) if c not in UNSEEN)
    text = re.sub(r"https?://", " ", re.sub(r"https?://t\.co/[a-z0-9]*", " ", text))
    sorts = "".join(map(sort_of, text))
    words, apart, at = [], True, 0
    while at < len(text):
        end, packed = at + 1, sorts[at] == "u"
        if packed:
            end = re.compile("um*").match(sorts, at).end()
            found = list(text[at:end])
        elif sorts[at] in "lmn":
            is_name = text[at - 1:at] in ("@", "#")
            inside = "(?:j+(?=[lmn])|[lmn]" + ("" if is_name else "|(?<=[lmj])a(?=l)") + ")*"
            end = re.compile(inside).match(sorts, at).end()
            found = [word for word in spaced_words(text[at:end], is_name) if word]
        elif sorts[at] == "e":
            end = emoji_end(text, at)
            found = [text[at:end]]
        else:
            found = []
        for word in found:
            words.append((word, apart, packed))
            apart = False
        apart = apart or (not found and sorts[at] != "j")
        at = end
    return words


class Part:
    def __init__(self, text, sign, excluded, is_word):
        self.sign, self.excluded, self.name = sign, excluded, fold(text)
        self.patterns = [] if sign else [tuple(words_of(text))]
        if is_word and (self.name.startswith("_") or self.name.endswith("_")):
            self.patterns += [tuple(words) for words in [words_of("@" + text)] if len(words) == 1]  # a name has its underscores


def parse(line):
    """The parts of a keyword line."""
    parts = []
    for minus, phrase, word in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', line.strip()):
        sign = word[0] if word and word[0] in "#@$" and len(word) > 1 else ""
        parts.append(Part(phrase or word[len(sign):], sign, bool(minus), not phrase and not sign))
    return parts


def stands_at(pattern, words, start):
    """The words of a pattern stand in `words` from `start` on."""
    if start < 0 or start + len(pattern) > len(words):
        return False
    gaps = set()
    for i, (word, apart, packed) in enumerate(pattern):
        there, there_apart, there_packed = words[start + i]
        if there != word or there_packed != packed:
            return False
        if i and packed and pattern[i - 1][2]:
            if not apart and there_apart:
                return False  # one word is not found in pieces
            if apart:
                gaps.add(there_apart)  # between the words of a phrase: everywhere or nowhere
    return len(gaps) < 2


class Posts:
    """Some posts (dictionaries as on the bridge), and where each word stands in them."""

    def __init__(self, posts):
        self.places, self.tags, self.texts, self.found = {}, {}, [], {}
        for number, post in enumerate(posts):
            for text in [post["text"], *post.get("hashtags", []), *post.get("urls", [])]:
                words = words_of(text)
                for at, (word, _, packed) in enumerate(words):
                    self.places.setdefault((word, packed), []).append((number, len(self.texts), at))
                self.texts.append(words)
            for sign, field in (("#", "hashtags"), ("@", "mentions"), ("$", "cashtags")):
                for name in post.get(field, []):
                    self.tags.setdefault((sign, fold(name)), set()).add(number)

    def having_words(self, pattern):
        if pattern not in self.found:
            places = [self.places.get((word, packed), []) for word, _, packed in pattern]
            rarest = min(range(len(pattern)), key=lambda i: len(places[i]))
            self.found[pattern] = {number for number, text, at in places[rarest]
                                   if len(pattern) == 1 or stands_at(pattern, self.texts[text], at - rarest)}
        return self.found[pattern]

    def having(self, part):
        """The numbers of the posts in which a part is."""
        if part.sign:
            return self.tags.get((part.sign, part.name), set())
        return set().union(*map(self.having_words, part.patterns))

    def matching(self, parts):
        """(the posts that the line matches, those that it excludes)."""
        wanted = [self.having(part) for part in parts if not part.excluded]
        unwanted = [self.having(part) for part in parts if part.excluded]
        return set.intersection(*wanted) if wanted else set(), set().union(*unwanted)
