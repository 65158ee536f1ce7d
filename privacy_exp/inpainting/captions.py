"""Captions to train an inpainter with, and the small vocabulary that spells them."""

from collections.abc import Mapping, Sequence

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC, Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer
from torch import Generator
from transformers import CLIPTokenizer

from privacy_exp.inpainting.prompts import FIELDS, SUBJECT, describe, words

ABSENT = {
    "Smiling": "not smiling",
    "Mouth_Slightly_Open": "mouth closed",
    "Eyeglasses": "no eyeglasses",
    "Wearing_Hat": "no hat",
    "Bangs": "no bangs",
}
"""What a photo lacks, in words: a contrast that keeps guidance from drifting to what is merely common."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789,.-'{}"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def tokenizer(length: int) -> CLIPTokenizer:
    """A CLIP tokenizer with one token for every word a caption can hold; other words are spelt in letters.

    Args:
        length: tokens of a prompt, the two at its ends included; prompts are padded and cut to it.

    Raises:
        ValueError: if the merges do not make one token of every word.
    """
    vocabulary = sorted({*words(), *(word for phrase in ABSENT.values() for word in phrase.split())})
    model = Tokenizer(BPE(end_of_word_suffix="</w>", unk_token=SPECIAL[1]))
    model.normalizer = Normalizers([NFC(), Lowercase()])
    model.pre_tokenizer = Split(" ", behavior="removed")
    trainer = BpeTrainer(vocab_size=10_000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False)
    model.train_from_iterator([" ".join(vocabulary)], trainer)
    merges = [tuple(merge) for merge in _merges(model)]
    tokens = [*ALPHABET, *(letter + "</w>" for letter in ALPHABET), *("".join(merge) for merge in merges), *SPECIAL]
    made = CLIPTokenizer(vocab={token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges=merges)
    made.model_max_length = length
    split = [word for word in vocabulary if len(made(word).input_ids) != 3]
    if split:
        raise ValueError(f"Every word of a caption must be one token, but {', '.join(split)} are not.")
    return made


def _merges(model: Tokenizer) -> list[list[str]]:
    import json  # the merges can only be read from the serialised tokenizer

    merges = json.loads(model.to_str())["model"]["merges"]
    return [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]


def phrases(attributes: Mapping[str, bool]) -> list[str]:
    """Everything that can be said about a photo, what it lacks included.

    Args:
        attributes: CelebA's names and values for one photo.
    """
    present = [phrase for field in FIELDS if (phrase := describe(field, attributes))]
    return present + [phrase for name, phrase in ABSENT.items() if attributes.get(name) is False]


def sample_caption(said: Sequence[str], dropout: float, generator: Generator) -> str:
    """A caption as a user might write it: the subject and any subset of the phrases, in any order.

    Args:
        said: the phrases that are true of the photo.
        dropout: how often the caption is empty, which teaches the unconditional half of guidance.
        generator: decides all.
    """
    empty, style, keep, subject = torch.rand(4, generator=generator).tolist()
    if empty < dropout:
        return ""
    order = torch.randperm(len(said), generator=generator).tolist()
    drawn = torch.rand(len(said), generator=generator).tolist()
    if style < 0.15:
        kept = []
    elif style < 0.45:
        kept = [said[i] for i in order[:1]]
    else:
        kept = [said[i] for i in order if drawn[i] < keep]
    return ", ".join([SUBJECT, *kept] if subject < 0.9 or not kept else kept)
