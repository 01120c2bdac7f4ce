"""Words beside a number that are part of its value: of scale (million, लाख, 万) and of sign (minus, マイナス)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import regex

from eval.scorers.locales import base_of

EAST_ASIAN = {
    "十": 10, "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8, "兆": 10**12,
    "京": 10**16, "십": 10, "백": 10**2, "천": 10**3, "만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16,
}  # fmt: skip
"""Units that multiply what stands before them, with or without a space; read in every language."""
NO_UNIT_BEFORE = {
    "十": "分字", "百": "分货貨合科", "千": "克米瓦卡赫帕葉", "만": "큼", "조": "각건림", "京": "都城", "경": "기우험"
}  # fmt: skip
"""What may not follow such a unit: 5千克 is 5 kg, 5만큼 "as much as 5"."""

SCALES: dict[str, dict[int, str]] = {
    "ar": {10**3: "ألف|آلاف|الف|ألفا|ألفاً|ألفًا", 10**6: "مليون|ملايين|مليونا|مليونًا|مليوناً",
           10**9: "مليار|مليارات|بليون", 10**12: "تريليون|تريليونات|ترليون"},
    "bg": {10**3: "хиляди|хиляда|хил.", 10**6: "милиона|милион|млн.|млн",
           10**9: "милиарда|милиард|млрд.|млрд"},
    "bn": {10**2: "শত", 10**3: "হাজার", 10**5: "লাখ|লক্ষ", 10**7: "কোটি", 10**6: "মিলিয়ন",
           10**9: "বিলিয়ন"},
    "ca": {10**3: "mil", 10**6: "milions|milió"},
    "cs": {10**3: "tisíc|tisíce|tis.", 10**6: "milion|miliony|milionů|milión|milióny|miliónů|mil.",
           10**9: "miliarda|miliardy|miliard|mld."},
    "da": {10**3: "tusind|tusinde", 10**6: "million|millioner|mio.|mio", 10**9: "milliard|milliarder|mia."},
    "de": {10**2: "hundert", 10**3: "tausend|tsd.", 10**6: "millionen|million|mio.|mio",
           10**9: "milliarden|milliarde|mrd.|mrd", 10**12: "billionen|billion"},
    "el": {10**3: "χιλιάδες|χιλιάδων|χίλια|χιλ.", 10**6: "εκατομμύρια|εκατομμύριο|εκατομμυρίων|εκατ.",
           10**9: "δισεκατομμύρια|δισεκατομμύριο|δισεκατομμυρίων|δισ."},
    "en": {10**2: "hundred", 10**3: "thousand", 10**6: "million|millions|mn|mln", 10**9: "billion|billions|bn",
           10**12: "trillion|trillions|tn", 10**5: "lakh|lakhs|lac|lacs", 10**7: "crore|crores"},
    "es": {10**3: "mil", 10**6: "millones|millón|mill.", 10**12: "billones|billón"},
    "et": {10**3: "tuhat", 10**6: "miljonit|miljon", 10**9: "miljardit|miljard"},
    "fa": {10**2: "صد", 10**3: "هزار", 10**6: "میلیون|ملیون", 10**9: "میلیارد|ملیارد", 10**12: "تریلیون"},
    "fi": {10**3: "tuhatta|tuhat", 10**6: "miljoonaa|miljoona|milj.", 10**9: "miljardia|miljardi|mrd."},
    "fr": {10**2: "cents|cent", 10**3: "mille", 10**6: "millions|million", 10**9: "milliards|milliard",
           10**12: "billions|billion"},
    "gu": {10**2: "સો", 10**3: "હજાર", 10**5: "લાખ", 10**7: "કરોડ"},
    "he": {10**3: "אלף|אלפים", 10**6: "מיליון|מיליוני|מליון", 10**9: "מיליארד|מליארד", 10**12: "טריליון"},
    "hi": {10**2: "सौ", 10**3: "हज़ार|हजार", 10**5: "लाख", 10**7: "करोड़|करोड़", 10**9: "अरब", 10**11: "खरब",
           10**6: "मिलियन", },
    "hr": {10**3: "tisuća|tisuće|tisuću", 10**6: "milijuna|milijun", 10**9: "milijardi|milijarda|milijarde"},
    "hu": {10**3: "ezer", 10**6: "millió", 10**9: "milliárd"},
    "id": {10**2: "ratus", 10**3: "ribu|rb", 10**6: "juta|jt", 10**9: "miliar|milyar", 10**12: "triliun"},
    "it": {10**3: "mila|mille", 10**6: "milioni|milione|mln", 10**9: "miliardi|miliardo|mld"},
    "kk": {10**3: "мың", 10**6: "миллион|млн", 10**9: "миллиард|млрд"},
    "kn": {10**3: "ಸಾವಿರ", 10**5: "ಲಕ್ಷ", 10**7: "ಕೋಟಿ"},
    "lt": {10**3: "tūkstančių|tūkstančiai|tūkst.", 10**6: "milijonai|milijonų|milijonas|mln.",
           10**9: "milijardai|milijardų|milijardas|mlrd."},
    "lv": {10**3: "tūkstoši|tūkstošu|tūkst.", 10**6: "miljoni|miljonu|miljons", 10**9: "miljardi|miljardu"},
    "ml": {10**3: "ആയിരം", 10**5: "ലക്ഷം", 10**7: "കോടി"},
    "mr": {10**2: "शे", 10**3: "हजार", 10**5: "लाख", 10**7: "कोटी", 10**9: "अब्ज"},
    "ms": {10**2: "ratus", 10**3: "ribu", 10**6: "juta", 10**9: "bilion", 10**12: "trilion"},
    "nb": {10**3: "tusen", 10**6: "million|millioner|mill.|mill", 10**9: "milliard|milliarder|mrd."},
    "ne": {10**2: "सय", 10**3: "हजार", 10**5: "लाख", 10**7: "करोड", 10**9: "अर्ब"},
    "nl": {10**2: "honderd", 10**3: "duizend", 10**6: "miljoen|mln.|mln", 10**9: "miljard|mld.|mld", 10**12: "biljoen"},
    "pa": {10**2: "ਸੌ", 10**3: "ਹਜ਼ਾਰ", 10**5: "ਲੱਖ", 10**7: "ਕਰੋੜ"},
    "pl": {10**3: "tysięcy|tysiące|tysiąc|tys.", 10**6: "milion|miliony|milionów|mln",
           10**9: "miliard|miliardy|miliardów|mld", 10**12: "bilion|biliony|bilionów"},
    "pt": {10**3: "mil", 10**6: "milhões|milhão|mi", 10**9: "bilhões|bilhão|bi",
           10**12: "trilhões|trilhão"},
    "ro": {10**2: "sute", 10**3: "mii|mie", 10**6: "milioane|milion|mil.", 10**9: "miliarde|miliard|mld."},
    "ru": {10**3: "тысяч|тысячи|тысяча|тыс.|тыс", 10**6: "миллион|миллиона|миллионов|млн.|млн",
           10**9: "миллиард|миллиарда|миллиардов|млрд.|млрд", 10**12: "триллион|триллиона|триллионов|трлн"},
    "sk": {10**3: "tisíc|tisíce|tis.", 10**6: "milión|milióny|miliónov|mil.", 10**9: "miliarda|miliardy|miliárd"},
    "sl": {10**3: "tisoč", 10**6: "milijon|milijona|milijone|milijonov|mio.", 10**9: "milijarda|milijarde|milijard"},
    "sr": {10**3: "хиљада|хиљаде|hiljada|hiljade", 10**6: "милион|милиона|milion|miliona",
           10**9: "милијарда|милијарде|милијарди|milijarda|milijarde|milijardi"},
    "sv": {10**3: "tusen", 10**6: "miljoner|miljon|mn|milj.", 10**9: "miljarder|miljard|md|mdr"},
    "sw": {10**2: "mia", 10**3: "elfu", 10**5: "laki", 10**6: "milioni", 10**9: "bilioni", 10**12: "trilioni"},
    "ta": {10**2: "நூறு", 10**3: "ஆயிரம்", 10**5: "லட்சம்|இலட்சம்", 10**7: "கோடி", 10**6: "மில்லியன்"},
    "te": {10**2: "వందల|వందలు|వంద", 10**3: "వేల|వేలు|వెయ్యి", 10**5: "లక్షల|లక్షలు|లక్ష", 10**7: "కోట్ల|కోట్లు|కోటి",
           10**6: "మిలియన్|మిలియన్లు"},
    "th": {10: "สิบ", 10**2: "ร้อย", 10**3: "พัน", 10**4: "หมื่น", 10**5: "แสน", 10**6: "ล้าน"},
    "tl": {10**2: "daan", 10**3: "libo|libong", 10**6: "milyon|milyong", 10**9: "bilyon|bilyong"},
    "tr": {10**2: "yüz", 10**3: "bin", 10**6: "milyon|mn", 10**9: "milyar|mr", 10**12: "trilyon"},
    "uk": {10**3: "тисяч|тисячі|тисяча|тис.|тис", 10**6: "мільйон|мільйона|мільйони|мільйонів|млн.|млн",
           10**9: "мільярд|мільярда|мільярди|мільярдів|млрд.|млрд", 10**12: "трильйон|трильйонів|трлн"},
    "ur": {10**2: "سو", 10**3: "ہزار", 10**5: "لاکھ", 10**7: "کروڑ", 10**9: "ارب", 10**6: "ملین"},
    "uz": {10**3: "ming", 10**6: "million|mln", 10**9: "milliard|mlrd"},
    "vi": {10**2: "trăm", 10**3: "nghìn|ngàn", 10**6: "triệu|tr", 10**9: "tỷ|tỉ"},
}  # fmt: skip
"""Language → scale → the words for it after a number, as they stand beside it. English ones are read everywhere."""
SCALES["no"] = SCALES["nn"] = SCALES["nb"]
SCALES["fil"] = SCALES["tl"]
SCALE_FIRST = frozenset(("sw",))
"""Languages in which the scale comes first: elfu 5 is 5,000."""

MINUS = {
    "ar": "سالب|ناقص", "bg": "минус", "bn": "মাইনাস|ঋণাত্মক|বিয়োগ", "ca": "menys", "cs": "minus|mínus|záporných",
    "da": "minus", "de": "minus|negativ", "el": "μείον|πλην|αρνητικό", "en": "minus|negative",
    "es": "menos|negativo", "et": "miinus", "fa": "منفی|منهای", "fi": "miinus", "fr": "moins|négatif",
    "gu": "માઈનસ|માઇનસ|ઋણ", "he": "מינוס|שלילי", "hi": "माइनस|ऋणात्मक|ऋण", "hr": "minus", "hu": "mínusz",
    "id": "minus|negatif|min", "it": "meno", "ja": "マイナス|負の|負|氷点下|零下", "kk": "минус",
    "ko": "마이너스|음수|영하|음의", "lt": "minus", "lv": "mīnus", "mr": "उणे|वजा|मायनस", "ms": "tolak|negatif|minus",
    "nb": "minus", "nl": "minus|min|negatief", "nn": "minus", "no": "minus", "pl": "minus", "pt": "menos|negativo",
    "ro": "minus", "ru": "минус", "sk": "mínus", "sl": "minus", "sr": "минус|minus", "sv": "minus",
    "sw": "hasi|minasi|kasoro", "ta": "மைனஸ்|எதிர்ம", "te": "మైనస్|రుణ|రుణాత్మక|ఋణ", "th": "ติดลบ|ลบ|ลบด้วย",
    "tr": "eksi|negatif", "uk": "мінус", "ur": "منفی", "uz": "minus|manfiy", "vi": "âm|trừ",
    "zh": "负|負|零下|減|减",
}  # fmt: skip
"""Language → the words for a minus sign before a number. English ones are read everywhere."""
NO_MINUS_AFTER = (
    "au", "du", "al", "por lo", "lo", "ni", "pelo", "ao", "plus ou", "ou", "más o", "o", "mais ou", "più o", "plus or",
    "or", "plus oder", "oder", "plus", "más", "mais", "più", "di", "a", "de", "não", "no", "не",
)  # fmt: skip
"""Words that make another thing of "moins" or "menos": au moins 5 is at least 5, plus ou moins 5 is ±5."""
COPULAS = (
    "is", "equals", "be", "ist", "gleich", "sind", "est", "sont", "font", "égale", "es", "son", "é", "são", "è", "sono",
    "fa", "to", "je", "jest", "är", "er", "is", "este", "равно", "это", "будет", "дорівнює", "είναι", "adalah", "ialah",
    "là", "bằng", "ni", "eder", "olur", "है", "هو", "هي", "است", "ergibt", "macht", "makes", "gives",
)  # fmt: skip
"""Words between a number and its sign that make no subtraction of it: 5 - 10 is minus 5."""
GAP = "[ \\t\u00a0\u202f\u2009\u3000]"


def _composed(words: str) -> list[str]:
    return [word.removesuffix(".") for word in unicodedata.normalize("NFC", words).split("|")]


def _alternatives(words: list[str]) -> str:
    """The words, longest first, as a pattern without a capture group."""
    return "|".join(re.escape(word).replace(r"\ ", r"\ +") for word in sorted(words, key=len, reverse=True))


@lru_cache(maxsize=64)
def scale_words(language: str) -> dict[str, int]:
    """The words of scale that are read in a language, in lower case."""
    languages = dict.fromkeys(("en", base_of(language)))
    return {
        word: scale
        for code in languages
        if code not in SCALE_FIRST
        for scale, words in SCALES.get(code, {}).items()
        for word in _composed(words)
    }


@lru_cache(maxsize=64)
def unit_pattern(language: str) -> regex.Pattern[str]:
    """A unit after a number: an East Asian one, or a word of scale that no letter follows."""
    followed = "|".join(
        f"{unit}(?![{NO_UNIT_BEFORE[unit]}])" if unit in NO_UNIT_BEFORE else unit for unit in EAST_ASIAN
    )
    words = _alternatives(list(scale_words(language)))
    end = "" if base_of(language) == "th" else r"\.?(?![\p{L}\p{M}])"
    return regex.compile(rf"{GAP}?(?P<unit>{followed})|{GAP}*(?P<word>{words}){end}", regex.I)


@lru_cache(maxsize=64)
def scale_before(language: str) -> re.Pattern[str] | None:
    """A word of scale before a number, where the language has it there."""
    if base_of(language) not in SCALE_FIRST:
        return None
    words = _alternatives([word for words in SCALES[base_of(language)].values() for word in _composed(words)])
    return re.compile(rf"(?<!\w)(?P<word>{words}){GAP}+$", re.I)


def scale_of(language: str, word: str) -> int:
    """The scale of a unit or a word, such as 10**6 of "Millionen"."""
    if word in EAST_ASIAN:
        return EAST_ASIAN[word]
    word = re.sub(r"\s+", " ", word.lower())
    if word in scale_words(language):
        return scale_words(language)[word]
    return next(scale for scale, words in SCALES[base_of(language)].items() if word in _composed(words))


@lru_cache(maxsize=64)
def _minus_pattern(language: str) -> re.Pattern[str]:
    languages = dict.fromkeys(("en", base_of(language)))
    words = _alternatives([word for code in languages if code in MINUS for word in _composed(MINUS[code])])
    spaced = "" if base_of(language) in ("ja", "ko", "th", "zh") else r"(?<!\w)"
    return re.compile(rf"{spaced}(?P<minus>{words}){GAP}*$", re.I)


NOT_A_SIGN = re.compile(rf"(?<!\w)(?:{_alternatives(list(NO_MINUS_AFTER))}){GAP}+$", re.I)
SUBTRAHEND = re.compile(rf"\d[%°]?(?:{GAP}*(?P<word>[^\W\d_]+))?[.)]?{GAP}*$")


def minus_before(before: str, language: str) -> bool:
    """Whether text that ends where a number begins ends in a minus in words, not in a subtraction."""
    before = before[-60:]
    match = _minus_pattern(language).search(before)
    if not match:
        return False
    head = before[: match.start()]
    if NOT_A_SIGN.search(head):
        return False
    subtracted = SUBTRAHEND.search(head)
    return not subtracted or (subtracted["word"] or "").lower() in COPULAS
