"""Answers that hedge: several numbers where one was asked for, as in "18 or 20", "18, 20" and "between 18 and 20"."""

from __future__ import annotations

import re
from functools import lru_cache

from eval.scorers.locales import base_of
from eval.scorers.numerals import Number, numbers

OR = {
    "ar": "أو|او",
    "bg": "или",
    "bn": "বা|অথবা",
    "ca": "o",
    "cs": "nebo|či|anebo",
    "da": "eller",
    "de": "oder|bzw.|beziehungsweise",
    "el": "ή",
    "en": "or|or maybe|or perhaps|or possibly|and/or",
    "es": "o|ó|u|o bien",
    "et": "või",
    "fa": "یا",
    "fi": "tai|vai",
    "fr": "ou|ou bien",
    "gu": "અથવા|કે",
    "he": "או",
    "hi": "या|अथवा",
    "hr": "ili",
    "hu": "vagy",
    "id": "atau",
    "it": "o|oppure",
    "ja": "または|あるいは|もしくは|か",
    "kk": "немесе",
    "ko": "또는|혹은|아니면|이나|나",
    "lt": "arba|ar",
    "lv": "vai",
    "mr": "किंवा",
    "ms": "atau",
    "nb": "eller",
    "nl": "of",
    "pl": "lub|albo|czy",
    "pt": "ou",
    "ro": "sau",
    "ru": "или|либо",
    "sk": "alebo",
    "sl": "ali",
    "sr": "или|ili",
    "sv": "eller",
    "sw": "au|ama",
    "ta": "அல்லது",
    "te": "లేదా",
    "th": "หรือ",
    "tr": "veya|ya da|yahut|yoksa",
    "uk": "або|чи",
    "ur": "یا",
    "uz": "yoki",
    "vi": "hoặc|hay|hoặc là",
    "zh": "或|或者|或是|还是|還是",
}
"""Language → the words between alternatives. English ones are read everywhere."""
AND = {
    "ar": "و",
    "bn": "এবং|ও|আর",
    "cs": "a",
    "da": "og",
    "de": "und",
    "el": "και",
    "en": "and|&",
    "es": "y|e",
    "fa": "و",
    "fi": "ja",
    "fr": "et",
    "he": "ו|ו-",
    "hi": "और",
    "hu": "és",
    "id": "dan",
    "it": "e|ed",
    "ja": "と|や",
    "ko": "와|과|하고|그리고",
    "ms": "dan",
    "nb": "og",
    "nl": "en",
    "pl": "i",
    "pt": "e",
    "ro": "și|şi",
    "ru": "и",
    "sv": "och",
    "sw": "na",
    "te": "మరియు",
    "th": "และ|กับ",
    "tr": "ve|ile",
    "uk": "і|й|та",
    "vi": "và",
    "zh": "和|与|與|及",
}
BETWEEN = {
    "ar": "بين",
    "bn": "",
    "cs": "mezi",
    "da": "mellem",
    "de": "zwischen",
    "el": "μεταξύ|ανάμεσα",
    "en": "between|either|somewhere between|from",
    "es": "entre",
    "fa": "بین",
    "fr": "entre",
    "he": "בין",
    "id": "antara",
    "it": "tra|fra",
    "ms": "antara",
    "nb": "mellom",
    "nl": "tussen",
    "pl": "między|pomiędzy",
    "pt": "entre",
    "ro": "între",
    "ru": "между|от",
    "sv": "mellan",
    "sw": "kati ya",
    "th": "ระหว่าง",
    "uk": "між",
    "vi": "giữa|từ|trong khoảng",
    "zh": "介于|在",
}
"""Language → the words before the ends of a range."""
TO = {
    "ar": "إلى",
    "bn": "থেকে",
    "de": "bis",
    "en": "to",
    "es": "a",
    "fr": "à",
    "hi": "से",
    "id": "sampai|hingga",
    "it": "a",
    "ja": "から",
    "ko": "에서|부터",
    "nl": "tot",
    "pl": "do",
    "pt": "a",
    "ru": "до",
    "sv": "till",
    "sw": "hadi",
    "te": "నుండి",
    "th": "ถึง",
    "tr": "ila",
    "uk": "до",
    "vi": "đến",
    "zh": "到|至",
}
OTHERS = {"nn": "nb", "no": "nb", "fil": "tl"}
RANGE = re.compile(r"\s?[–—~〜～-]\s?$")
UNIT = r"[\s*_$€£¥₹%°)\]]*(?:[^\W\d_]{1,12}\.?)?[\s*_$€£¥₹%°)\]]*"
"""What may stand between a number and the word after it: marks and one unit."""
LIST_MARK = re.compile(rf"^{UNIT}[,;、，；/]\s*[(*$€£¥₹]*$")
END = re.compile(rf"^{UNIT}\W*$")


def _words(table: dict[str, str], language: str) -> str:
    codes = dict.fromkeys(("en", base_of(language), OTHERS.get(base_of(language), "")))
    words = {word for code in codes for word in table.get(code, "").split("|") if word}
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or "(?!)"


@lru_cache(maxsize=64)
def _connected(language: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Patterns of the text between two numbers: alternatives, a list's "and", and ends of a range."""
    edge_before, edge_after = ("", "") if base_of(language) in ("ja", "ko", "th", "zh") else (r"(?<!\w)", r"(?!\w)")
    alternatives, together, ends = (
        re.compile(rf"^{UNIT}[,，、]?\s*[(]?{edge_before}(?:{_words(table, language)}){edge_after}[\s(*$€£¥₹]*$", re.I)
        for table in (OR, AND, TO)
    )
    return alternatives, together, ends


@lru_cache(maxsize=64)
def _range_before(language: str) -> re.Pattern[str]:
    edge = "" if base_of(language) in ("ja", "ko", "th", "zh") else r"(?<!\w)"
    return re.compile(rf"{edge}(?:{_words(BETWEEN, language)})[\s*$€£¥₹]*$", re.I)


def is_hedged(first: Number, text: str, language: str, announced: bool = True) -> bool:
    """Whether a text gives another answer of the same rank after its number `first`.

    `text` is the sentence that `first` is of. Two numbers of one value are one answer. Lists and ranges are answers
    only where the text is `announced` as one; elsewhere "aged 8–12" only mentions numbers.
    """
    second = next((number for number in numbers(text[first.end :], language)), None)
    if second is None or second.value == first.value:
        return False
    between, after = text[first.end : first.end + second.start], text[first.end + second.end :]
    alternatives, together, ends = _connected(language)
    if alternatives.match(between):
        return True
    if not announced:
        return False
    closed = bool(END.match(after)) or bool(LIST_MARK.match(after.partition(" ")[0] + " "))
    if _range_before(language).search(text[: first.start]) and (together.match(between) or ends.match(between)):
        return True
    dashed = RANGE.match(between) or (second.text[:1] in ("-", "–") and not between)
    rising = 0 <= first.value < abs(second.value)
    if closed and rising and (dashed or ends.match(between)):
        return True
    return closed and bool(LIST_MARK.match(between) or together.match(between))
