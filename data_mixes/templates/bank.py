"""Banks of templates: YAML files of phrases with slots, from which parallel items are drawn.

An item is a template and a value for each of its slots, chosen without regard to language; its
rendering in each language is a translation of the others. Items are drawn by a seeded hash of
their number, so a bank always yields the same items in the same order.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from itertools import count
from operator import add, floordiv, mul, sub
from typing import Any

from ruamel.yaml import YAML

from data_mixes.storage import cache_folder, made_once
from data_mixes.templates.phrasing import Slot, Word, render

OPERATIONS = {"+": add, "-": sub, "*": mul, "/": floordiv}
MOST_MISSES = 200
"""How many draws in a row that bring no new item use a template up."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One item: a template of the bank and the language-independent values of its slots.

    A word is held by its key, a list as a tuple.
    """

    template: str
    values: tuple[tuple[str, int | str | tuple[int | str, ...]], ...]

    @property
    def key(self) -> str:
        """Identifies the item: equal keys mean equal items."""
        spelled = ",".join(f"{name}={value}" for name, value in self.values)
        return f"{self.template}({spelled})"


class TemplateBank:
    """Templates and word lists read from ``templates/<name>.yaml`` beside this module.

    The file has ``words`` (kind → key → language → forms) and ``templates`` (id → ``slots``, ``split``,
    texts by language, and whatever else the source wants). A slot is ``kind`` for a word,
    ``{from, to, step}`` for a number, ``"a * b"`` for one computed from earlier slots, and with
    ``count: n`` or ``count: [low, high]`` a list without repetition.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _texts(self) -> tuple[str, str]:
        folder = files("data_mixes.templates")
        own, shared = ((folder / f"{name}.yaml").read_text(encoding="utf-8") for name in (self.name, "names"))
        return own, shared

    @property
    def version(self) -> str:
        """Changes with any change of the bank's file or of the shared names."""
        return hashlib.sha256("\0".join(self._texts).encode()).hexdigest()[:12]

    @property
    def made_from(self) -> str:
        """Changes with the files and with the code that reads them and draws, all that what is cached depends on."""
        folder = files("data_mixes.templates")
        code = ((folder / name).read_text(encoding="utf-8") for name in ("bank.py", "embedded.py"))
        return hashlib.sha256("\0".join([self.version, *code]).encode()).hexdigest()[:12]

    @cached_property
    def _file(self) -> dict[str, Any]:
        return made_once(cache_folder() / "banks" / f"{self.name}-{self.made_from}.json", self._read)

    def _read(self) -> dict[str, Any]:
        yaml = YAML(typ="safe", pure=True)
        own, shared = (yaml.load(text) for text in self._texts)
        return own | {"words": shared["words"] | own.get("words", {})}

    @property
    def templates(self) -> Mapping[str, Mapping[str, Any]]:
        """Template id → its entry in the file."""
        return self._file["templates"]

    @cached_property
    def words(self) -> Mapping[str, Mapping[str, Mapping[str, Word]]]:
        """Kind → key → language → word. A form list given as plain text is its ``one`` form."""
        return {
            kind: {
                key: {
                    language: Word(key, language, {"one": forms} if isinstance(forms, str) else forms)
                    for language, forms in entry.items()
                }
                for key, entry in entries.items()
            }
            for kind, entries in self._file["words"].items()
        }

    def draws(self, templates: Sequence[str]) -> Iterator[Draw]:
        """Distinct items of some templates in turn, without end or until these are used up.

        What is drawn of a template depends on no other: templates that are added later change no item.
        """
        drawn = [self._draws_of(template) for template in sorted(templates)]
        while drawn:
            round_ = [(items, next(items, None)) for items in drawn]
            yield from (draw for _, draw in round_ if draw is not None)
            drawn = [items for items, draw in round_ if draw is not None]

    def _draws_of(self, template: str) -> Iterator[Draw]:
        """Distinct items of one template, until hardly any new one comes."""
        seen: set[str] = set()
        misses = 0
        for number in count():
            draw = self._draw(template, number)
            if draw is not None and (key := draw.key) not in seen:
                seen.add(key)
                misses = 0
                yield draw
            elif (misses := misses + 1) == MOST_MISSES:
                return

    def _draw(self, template: str, number: int) -> Draw | None:
        """Values for one item; None where a computed slot comes out unfit."""
        digest = hashlib.sha256(f"{self.name}/{template}/{number}".encode()).digest()
        rng = random.Random(digest)
        values: dict[str, int | str | tuple[int | str, ...]] = {}
        used: set[int | str] = set()
        for name, spec in self.templates[template]["slots"].items():
            value = self._value(spec, values, used, rng)
            if value is None:
                return None
            values[name] = value
            if not isinstance(spec, str) or spec in self.words:
                used.update(value if isinstance(value, tuple) else (value,))
        return Draw(template, tuple(values.items()))

    def _value(
        self,
        spec: Any,
        values: Mapping[str, int | str | tuple[int | str, ...]],
        used: set[int | str],
        rng: random.Random,
    ) -> int | str | tuple[int | str, ...] | None:
        if isinstance(spec, str) and spec not in self.words:
            number = compute(spec, {name: value for name, value in values.items() if isinstance(value, int)})
            return number if stands_before_noun(number) else None
        if isinstance(spec, str):
            spec = {"kind": spec}
        if "kind" in spec:
            pool: Sequence[int | str] = [key for key in self.words[spec["kind"]] if key not in used]
        else:
            numbers = countable(spec["from"], spec["to"], spec.get("step", 1))
            pool = numbers if used.isdisjoint(numbers) else [number for number in numbers if number not in used]
        if "count" not in spec:
            return rng.choice(pool)
        length = spec["count"]
        low, high = (length, length) if isinstance(length, int) else length
        return tuple(rng.sample(pool, rng.randint(low, high)))

    def slots(self, draw: Draw, language: str) -> dict[str, Slot]:
        """The slots of an item with their words in `language`."""

        def localize(value: int | str) -> int | Word:
            return value if isinstance(value, int) else self._words_by_key[value][language]

        slots: dict[str, Slot] = {}
        for name, value in draw.values:
            slots[name] = tuple(map(localize, value)) if isinstance(value, tuple) else localize(value)
        return slots

    @cached_property
    def _words_by_key(self) -> Mapping[str, Mapping[str, Word]]:
        return {key: entry for entries in self.words.values() for key, entry in entries.items()}

    def render(self, phrase: str | Mapping[str, str], draw: Draw, language: str, **more: Slot) -> str:
        """A phrase of this bank for one item; a mapping holds one phrase per language. `more` are further slots."""
        text = phrase if isinstance(phrase, str) else phrase[language]
        return render(text, language, self.slots(draw, language) | more).strip()


def compute(expression: str, values: Mapping[str, int]) -> int:
    """The value of ``x OP y`` over named values and integers; 0 where a division leaves a rest."""
    left, operator, right = expression.split()
    x, y = (values[side] if side in values else int(side) for side in (left, right))
    return 0 if operator == "/" and x % y else OPERATIONS[operator](x, y)


@cache
def countable(low: int, high: int, step: int) -> tuple[int, ...]:
    """The numbers from low to high, both included, that may count a noun in every language."""
    return tuple(number for number in range(low, high + 1, step) if stands_before_noun(number))


def stands_before_noun(number: int) -> bool:
    """Whether a number may count a noun in every language: Arabic has no digits for 1, 2, 101, …"""
    return number > 2 and number % 100 not in (1, 2)
