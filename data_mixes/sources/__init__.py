"""Sources of parallel and plain examples, by name. A new data set is one file and one line here."""

from __future__ import annotations

from data_mixes.source import Source
from data_mixes.sources.aya import AYA_DOLLY, AYA_DOLLY_EDITED
from data_mixes.sources.gsm8k import GSM8K
from data_mixes.sources.instructions import Instructions
from data_mixes.sources.mcot_math import MCOT_MATH
from data_mixes.sources.mgsm import MGSM, MGSM_P_MMEVAL
from data_mixes.sources.notices import Notices
from data_mixes.sources.sharegpt import SHAREGPT
from data_mixes.sources.word_problems import WordProblems
from data_mixes.sources.xlsum import XLSUM

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        WordProblems(),
        Notices(),
        Instructions(),
        XLSUM,
        MCOT_MATH,
        GSM8K,
        MGSM,
        MGSM_P_MMEVAL,
        AYA_DOLLY,
        AYA_DOLLY_EDITED,
        SHAREGPT,
    )
}
