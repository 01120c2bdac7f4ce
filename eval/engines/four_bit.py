"""Models whose linear layers are rounded to four bits as they are loaded, alike for training and for generation."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from eval.engines.engine import Quantization

INSTALL = "pip install 'transfer-study-harness[nf4]'"


def bitsandbytes_available() -> bool:
    """Whether the package is installed that rounds weights to four bits."""
    return find_spec("bitsandbytes") is not None


def rounding(quantization: Quantization, dtype: Any, device: Any) -> dict[str, Any]:
    """What `from_pretrained` is told besides, for products in a number format of torch's; it then places the model.

    `nf4` is QLoRA's NormalFloat (arXiv 2305.14314), in blocks of 64 weights with a float32 constant each. Embeddings
    and the head stay as they are.
    """
    if quantization == "none":
        return {}
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=quantization, bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": settings, "device_map": {"": device}}


def differentiable(model: Any) -> Any:
    """The model, once its layers are kept from repacking their weights for a CPU with AVX512-BF16.

    bitsandbytes (0.50) repacks them at the first forward pass out of training, and the product that then reads them
    has no gradient: what is trained afterwards learns from a part of it, without an error.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
    return model
