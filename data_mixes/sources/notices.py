"""Short notices with their one-sentence summary, written for the harness."""

from __future__ import annotations

from data_mixes.example import Example
from data_mixes.templates.bank import Draw
from data_mixes.templates.embedded import EmbeddedSource


class Notices(EmbeddedSource):
    """News-like texts of three or four sentences; the target says the main fact in one."""

    name = "notices"
    task = "summarization"

    def example(self, item_id: str, draw: Draw, language: str) -> Example:
        """One item in one language."""
        template = self.bank.templates[draw.template]
        return Example(
            id=f"{item_id}@{language}",
            item_id=item_id,
            task=self.task,
            language=language,
            prompt=self.bank.render(template["text"], draw, language),
            target=self.bank.render(template["summary"], draw, language),
        )
