"""Sentences of several languages that are translations of each other, a line each or by the ids of treebanks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_mixes.reading.arrays import lines_of
from data_mixes.reading.records import FileError, opened, plain_suffix
from data_mixes.reading.treebank import Sentence, read_treebank

TREEBANK = ".conllu"
LANGUAGE = "{language}"


def parallel_sentences(pattern: str, languages: Sequence[str], most: int) -> dict[str, list[str]]:
    """The first sentences that all languages have, by language.

    Files of lines must have as many lines each; treebanks are put together by their sentences' ids. Raises FileError
    with everything that is wrong.
    """
    paths = {language: path_of(pattern, language) for language in languages}
    problems = [f"no file {path}" for path in paths.values() if not path.is_file()]
    if problems:
        raise FileError("; ".join(problems))
    if plain_suffix(next(iter(paths.values()))) == TREEBANK:
        return by_id({language: list(read_treebank(path)) for language, path in paths.items()}, most)
    lines = {language: text_lines(path) for language, path in paths.items()}
    if len(set(map(len, lines.values()))) > 1:
        counts = ", ".join(f"{paths[language].name} {len(texts):,}" for language, texts in lines.items())
        raise FileError(f"files that are parallel line by line have as many lines each; got {counts}")
    whole = [row for row, texts in enumerate(zip(*lines.values(), strict=True)) if all(map(str.strip, texts))]
    return {language: [texts[row].strip() for row in whole[:most]] for language, texts in lines.items()}


def path_of(pattern: str, language: str) -> Path:
    """The file of a language."""
    return Path(pattern.replace(LANGUAGE, language))


def text_lines(path: Path) -> list[str]:
    """The lines of a text file. Raises FileError."""
    try:
        with opened(path, errors="strict") as file:
            return [line.rstrip("\r\n") for line in lines_of(file)]
    except UnicodeDecodeError:
        raise FileError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except (OSError, EOFError, ValueError) as error:
        raise FileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None


def by_id(treebanks: dict[str, list[Sentence]], most: int) -> dict[str, list[str]]:
    """The texts of the first sentences whose ids all treebanks have."""
    texts = {language: {sentence.id: sentence.text for sentence in bank} for language, bank in treebanks.items()}
    first, *others = texts.values()
    common = [name for name in first if name and all(name in other for other in others)][:most]
    if not common:
        raise FileError(f"the treebanks of {', '.join(texts)} have no sentence in common: no sent_id is in all of them")
    return {language: [of[name] for name in common] for language, of in texts.items()}
