"""Our reading of IFEval's instruction types beside IFEval's own program, on the same responses.

python benchmarks/ifeval.py [responses per type]

Responses are drawn from a bank of English sentences and of what breaks checkers: abbreviations, decimals, contractions
in capitals, nested marks of highlighting, empty paragraphs, keywords within words. Arguments are what the response has,
one less or one more, so that near misses are as many as clear cases. IFEval's program is the one that
lm-evaluation-harness ships (`pip install '.[dev]'`); it counts sentences with NLTK's Punkt, whose English model is put
where NLTK finds it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import punkt

from eval.scorers.constraints import score_constraints
from eval.scorers.ifeval import IFEVAL, constraints_from_ifeval

SENTENCES = (
    "The library will be closed on Monday.", "Dr. Smith arrived at 3.30 p.m. with Mrs. Jones.", "Is that so?", "No!",
    "We paid $4.50, i.e. less than U.S. prices.", "He said: \"Come in.\" Then he left.",
    "NASA and the EU signed it on Jan. 5.", "Wait... what happened?!", "I CAN'T believe IT'S over.",
    "Please visit www.example.com for more.", "Etc. etc. and so on.", "My answer is yes.", "My answer is no.",
    "It was a well-known, long-standing rule", "J. R. Tolkien wrote books.", "The cat, the dog and the category sat.",
    "a lower-case line without an end", "THE WHOLE LINE IS LOUD.", "Good morning (again).", "Any other questions?",
    "It works, e.g., on Linux.", "They met in St. Louis vs. Chicago.", "COVID-19 and H2O are terms.",
    "Call me at 555-1234.", "Is there anything else I can help with?", "catalog cats concatenate cat",
    "Price: 5,000 dollars.",
)  # fmt: skip
BREAKS = (" ", " ", " ", "\n", "\n\n", "\n***\n", " *** ", "\n\n\n", "\n\n \n\n", "\n******\n")
MARKS = (
    "* point one", "- point two", "** not a point", "*single* and **double** words", "**", "* *", "***bold***",
    "[name]", "[address] and [date]", "[]", "P.S. call me", "P.P.S. and more", "p. s. lower", "P.S no point",
    "Section 1", "SECTION 2", "Section 3:", "section 4", "<<A Title>>", "<< >>", "<<>>", "  - indented", "-dash",
    "*star", "_under_", "PS: note",
)  # fmt: skip
FOREIGN = {
    "fr": "La bibliothèque sera fermée lundi parce que la tempête a endommagé le toit du bâtiment principal.",
    "de": "Die Bibliothek bleibt am Montag geschlossen, weil der Sturm das Dach des Hauptgebäudes beschädigt hat.",
    "es": "La biblioteca estará cerrada el lunes porque la tormenta dañó el techo del edificio principal.",
    "hi": "पुस्तकालय सोमवार को बंद रहेगा क्योंकि तूफान ने मुख्य भवन की छत को नुकसान पहुँचाया है।",
    "ja": "図書館は月曜日に休館します。嵐が本館の屋根を壊したからです。",
    "ar": "ستكون المكتبة مغلقة يوم الاثنين لأن العاصفة ألحقت أضرارا بسقف المبنى الرئيسي.",
    "ru": "Библиотека будет закрыта в понедельник, потому что буря повредила крышу главного здания.",
    "th": "ห้องสมุดจะปิดในวันจันทร์เพราะพายุทำให้หลังคาของอาคารหลักเสียหาย",
    "sw": "Maktaba itafungwa siku ya Jumatatu kwa sababu dhoruba iliharibu paa la jengo kuu.",
    "vi": "Thư viện sẽ đóng cửa vào thứ Hai vì cơn bão đã làm hỏng mái của tòa nhà chính.",
}
ENGLISH = " ".join(
    (SENTENCES[0], "The storm damaged the roof of the main building, and repairs will take several days.")
)
WORDS = ("cat", "library", "dog", "no", "the", "answer", "Linux", "is", "terms", "won't", "category", "late")
LONG = 20
"""Words of a long response."""
RELATIONS = ("less than", "at least")


def response(rng: random.Random, marked: float) -> str:
    """A response of sentences and marks, parted by spaces, lines and what parts paragraphs and answers."""
    parts = [rng.choice(MARKS if rng.random() < marked else SENTENCES) for _ in range(rng.randint(1, 9))]
    text = "".join(part + ("\n" if part in MARKS and rng.random() < 0.7 else rng.choice(BREAKS)) for part in parts)
    dressed = (
        text,
        text.strip(),
        f'"{text.strip()}"',
        text.upper(),
        text.lower(),
        f"“{text.strip()}”",
        text.replace(",", ""),
    )
    return rng.choice((text, text.strip(), *dressed))


def json_response(rng: random.Random) -> str:
    """A response that is JSON, or nearly."""
    text = json.dumps({"answer": rng.choice(SENTENCES), "count": rng.randint(0, 9)})
    return rng.choice(
        (text, f"```json\n{text}\n```", f"```\n{text}```", text[:-1], f"Here: {text}", f"```JSON{text}```", "5", "")
    )


def near(rng: random.Random, count: int) -> int:
    """A number about as great as what is there, from 1 on."""
    return max(1, count + rng.choice((-1, 0, 1)))


def drawn(kind: str, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A response and arguments that it may or may not fulfil."""
    text = response(rng, marked=0.8 if kind.startswith("detectable") else 0.25)
    if kind == "detectable_format:json_format":
        return json_response(rng), {}
    if kind == "language:response_language":
        code = rng.choice([*FOREIGN, "en"])
        other = rng.choice([*FOREIGN.values(), ENGLISH])
        written = FOREIGN.get(code, ENGLISH) if rng.random() < 0.5 else other
        return rng.choice((written, f"{written}\n", f"1. {written}")), {"language": code}
    if kind in ("change_case:english_capital", "change_case:english_lowercase"):
        text = rng.choice((ENGLISH, text, rng.choice(list(FOREIGN.values()))))
        upper, lower = text.upper(), text.lower()
        return rng.choice((text, upper, upper, lower, lower, f"{lower} A", f"{upper} a")), {}
    return text, ARGUMENTS.get(kind, lambda *_: {})(text, rng)


def _first_word(text: str, rng: random.Random) -> dict[str, Any]:
    filled = [part for part in text.split("\n\n") if part.strip()]
    nth = rng.randint(1, max(1, len(filled)))
    first = filled[nth - 1].split()[0].strip("\"'").rstrip(".,?!") if filled else ""
    word = rng.choice((first or "x", first or "x", "the"))
    return {"num_paragraphs": max(nth, near(rng, len(filled))), "nth_paragraph": nth, "first_word": word}


def _keyword(text: str, rng: random.Random) -> dict[str, Any]:
    word = rng.choice(WORDS)
    return {
        "keyword": word,
        "frequency": near(rng, text.lower().count(word.lower())),
        "relation": rng.choice(RELATIONS),
    }


def _letter(text: str, rng: random.Random) -> dict[str, Any]:
    letter = rng.choice("aeqzt")
    return {
        "letter": letter,
        "let_frequency": near(rng, text.lower().count(letter)),
        "let_relation": rng.choice(RELATIONS),
    }


def _capitals(text: str, rng: random.Random) -> dict[str, Any]:
    count = sum(word.isupper() for word in text.split())
    return {"capital_frequency": near(rng, count), "capital_relation": rng.choice(RELATIONS)}


def _sections(text: str, rng: random.Random) -> dict[str, Any]:
    splitter = rng.choice(("Section", "SECTION"))
    return {"section_spliter": splitter, "num_sections": near(rng, text.count(splitter))}


def _end(text: str, rng: random.Random) -> dict[str, Any]:
    return {"end_phrase": rng.choice((text.strip()[-12:].strip() or "x", "Any other questions?", "over."))}


def _counted(argument: str, count: Callable[[str], int], relation: str = "") -> Arguments:
    """Arguments that are a number near to what is there, and if it has a name a relation."""

    def arguments(text: str, rng: random.Random) -> dict[str, Any]:
        number = {argument: near(rng, count(text))}
        return number | {relation: rng.choice(RELATIONS)} if relation else number

    return arguments


Arguments = Callable[[str, random.Random], dict[str, Any]]
ARGUMENTS: dict[str, Arguments] = {
    "keywords:existence": lambda _, rng: {"keywords": rng.sample(WORDS, rng.randint(1, 2))},
    "keywords:frequency": _keyword,
    "keywords:forbidden_words": lambda _, rng: {"forbidden_words": rng.sample(WORDS, rng.randint(1, 2))},
    "keywords:letter_frequency": _letter,
    "length_constraints:number_sentences": _counted(
        "num_sentences", lambda text: len(punkt.sent_tokenize(text)), "relation"
    ),
    "length_constraints:number_paragraphs": _counted("num_paragraphs", lambda text: text.count("***") + 1),
    "length_constraints:number_words": _counted("num_words", lambda text: len(text.split()), "relation"),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _counted("num_placeholders", lambda text: text.count("[")),
    "detectable_content:postscript": lambda _, rng: {"postscript_marker": rng.choice(("P.S.", "P.P.S", "PS:"))},
    "detectable_format:number_bullet_lists": _counted(
        "num_bullets", lambda text: sum(text.count(mark) for mark in ("\n*", "\n-"))
    ),
    "detectable_format:number_highlighted_sections": _counted("num_highlights", lambda text: text.count("*") // 3),
    "detectable_format:multiple_sections": _sections,
    "combination:repeat_prompt": lambda text, rng: {"prompt_to_repeat": text.strip()[rng.choice((0, 1)) : 20] or "x"},
    "startend:end_checker": _end,
    "change_case:capital_word_frequency": _capitals,
}


def their_program(folder: Path) -> Any:
    """IFEval's functions as lm-evaluation-harness ships them, with NLTK's English Punkt in a folder."""
    import nltk
    from nltk.tokenize.punkt import PunktParameters, save_punkt_params

    nltk.data.path.insert(0, str(folder))
    os.environ["NLTK_DATA"] = str(folder)
    ours, theirs = punkt.load_model("english"), PunktParameters()
    theirs.abbrev_types, theirs.sent_starters = set(ours.abbrev_types), set(ours.sent_starters)
    theirs.collocations = set(ours.collocations)
    theirs.ortho_context.update(ours.ortho_context)
    model = folder / "tokenizers" / "punkt_tab" / "english"
    model.parent.mkdir(parents=True)
    save_punkt_params(theirs, dir=str(model))
    from lm_eval.tasks.ifeval import utils

    return utils


class Agreement:
    """How often both say the same of one type, and what they differed on."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.differing: list[tuple[str, dict[str, Any], list[bool]]] = []

    def share(self, level: str) -> float:
        """The share of equal verdicts, strict or loose."""
        return self.counts[level] / self.counts["all"]


def agreement(kind: str, count: int, theirs: Any, seed: int = 0) -> Agreement:
    """Both verdicts on responses to one type of instruction."""
    rng, agreed = random.Random(f"{seed} {kind}"), Agreement()
    while agreed.counts["all"] < count:
        text, given = drawn(kind, rng)
        specs = constraints_from_ifeval([kind], [given])
        ours = [score.value for score in score_constraints(text, specs or [], "en")][::2]
        case = theirs.InputExample(0, [kind], "", [given])
        both = (theirs.test_instruction_following_strict, theirs.test_instruction_following_loose)
        verdicts = [check(case, text).follow_all_instructions for check in both]
        same = {"strict": ours[0] == verdicts[0], "loose": ours[1] == verdicts[1]}
        agreed.counts.update({"all": 1, "held": verdicts[0], **same})
        if len(text.split()) >= LONG:
            agreed.counts.update({"long": 1, "long and strict": same["strict"]})
        if ours[0] != verdicts[0]:
            agreed.differing.append((text, given, verdicts))
    return agreed


def main() -> None:
    """Prints the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        theirs = their_program(Path(folder))
        print(
            f"| type | held | agree, strict | agree, loose | strict, of {LONG} words or more |\n|---|---|---|---|---|"
        )
        for kind in IFEVAL:
            agreed = agreement(kind, count, theirs)
            shares = (agreed.counts["held"] / count, agreed.share("strict"), agreed.share("loose"))
            long = agreed.counts["long and strict"] / agreed.counts["long"] if agreed.counts["long"] else None
            cells = [*map("{:.1%}".format, shares), "" if long is None else f"{long:.1%}"]
            print(f"| `{kind}` | {' | '.join(cells)} |")
            if "-v" in sys.argv:
                print(*agreed.differing[:4], sep="\n")


if __name__ == "__main__":
    main()
