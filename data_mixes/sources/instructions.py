"""Instructions whose fulfilment a program can check, written for the harness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_mixes.example import Example
from data_mixes.templates.bank import Draw
from data_mixes.templates.embedded import EmbeddedSource


class Instructions(EmbeddedSource):
    """Lists, orders, counts, quotes, casing and whole sentences, with constraints to check them."""

    name = "instructions"
    task = "instructions"

    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""
        template = self.bank.templates[draw.template]
        return Example(
            id=f"{item_id}@{language}",
            item_id=item_id,
            task=self.task,
            language=language,
            prompt=self.bank.render(template["instruction"], draw, language),
            target=self.bank.render(template["answer"], draw, language),
            constraints=tuple(self._constraint(spec, draw, language) for spec in template["constraints"]),
        )

    def _constraint(self, spec: Mapping[str, Any], draw: Draw, language: str) -> dict[str, Any]:
        """A constraint with its phrases rendered; "@" as a language code is the item's own."""
        rendered: dict[str, Any] = {}
        for key, value in spec.items():
            if key == "kind" or isinstance(value, int):
                rendered[key] = value
            elif value == "@":
                rendered |= {key: language, "among": list(self.languages)}
            else:
                text = self.bank.render(value, draw, language)
                rendered[key] = int(text) if key == "count" else text.split("\n") if key == "items" else text
        return rendered
