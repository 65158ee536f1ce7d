"""Captions to train an inpainter with, and the small vocabulary that spells them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Generator
from transformers import CLIPTokenizer

from privacy_exp.inpainting.prompts import FIELDS, SUBJECT, describe, words
from privacy_exp.types import UserError

ABSENT = {
    "Smiling": "not smiling",
    "Mouth_Slightly_Open": "mouth closed",
    "Eyeglasses": "no eyeglasses",
    "Wearing_Hat": "no hat",
    "Bangs": "no bangs",
}
"""What a photo lacks, in words: a contrast that keeps guidance from drifting to what is merely common."""
INNER_FACE = ("expression", "mouth", "glasses")
"""Fields that the inner face decides: what is asked for where the inner face is hidden."""
EMPHASIS = 3.0
"""How much sooner a phrase of the inner face is said than another: the rest of a photo is mostly in view."""
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789,.-'{}"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")


def tokenizer(length: int) -> CLIPTokenizer:
    """A CLIP tokenizer with one token for every word a caption can hold; other words are spelt in letters.

    Args:
        length: tokens of a prompt, the two at its ends included; prompts are padded and cut to it.

    Raises:
        UserError: if the merges do not make one token of every word.
    """
    vocabulary = sorted({*words(), *(word for phrase in ABSENT.values() for word in phrase.split())})
    merges = _merges(vocabulary)
    tokens = [*ALPHABET, *(letter + "</w>" for letter in ALPHABET), *("".join(merge) for merge in merges), *SPECIAL]
    made = CLIPTokenizer(vocab={token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges=merges)
    made.model_max_length = length
    split = [word for word in vocabulary if len(made(word).input_ids) != 3]
    if split:
        raise UserError(f"Every word of a caption must be one token, but {', '.join(split)} are not.")
    return made


def _merges(vocabulary: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until every word is one token: the most frequent pair first, ties by spelling.

    The trainer of `tokenizers` breaks ties by the order of a hash map, another one in each process: two processes of
    one training would give a word two numbers.
    """
    split = [[*word[:-1], word[-1] + "</w>"] for word in vocabulary]
    merges = []
    while pairs := Counter(pair for word in split for pair in pairwise(word)):
        merge = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(merge)
        split = [_merged(word, merge) for word in split]
    return merges


def _merged(word: list[str], merge: tuple[str, str]) -> list[str]:
    made: list[str] = []
    for part in word:
        if made and (made[-1], part) == merge:
            made[-1] += part
        else:
            made.append(part)
    return made


def phrases(attributes: Mapping[str, bool]) -> list[str]:
    """Everything that can be said about a photo, what it lacks included.

    Args:
        attributes: CelebA's names and values for one photo.
    """
    present = [phrase for field in FIELDS if (phrase := describe(field, attributes))]
    return present + [phrase for name, phrase in ABSENT.items() if attributes.get(name) is False]


def _emphasised() -> frozenset[str]:
    """The phrases of the inner face, those for what a photo lacks included."""
    present = {phrase for field in INNER_FACE for pair in FIELDS[field].values() for phrase in pair}
    return frozenset(present | {ABSENT[name] for field in INNER_FACE for name in FIELDS[field] if name in ABSENT})


_EMPHASISED = _emphasised()


def sample_caption(said: Sequence[str], dropout: float, generator: Generator) -> str:
    """A caption as a user might write it: the subject and none to all of the phrases, mostly few.

    The order is random, phrases of the inner face sooner.

    Args:
        said: the phrases that are true of the photo.
        dropout: how often the caption is empty, which teaches the unconditional half of guidance.
        generator: decides all.
    """
    empty, style, keep, subject = torch.rand(4, generator=generator).tolist()
    if empty < dropout:
        return ""
    odds = torch.tensor([EMPHASIS if phrase in _EMPHASISED else 1.0 for phrase in said])
    order = torch.multinomial(odds, len(said), generator=generator).tolist() if said else []
    if style < 0.1:
        count = 0
    elif style < 0.8:  # a phrase is learnt soonest where it stands alone
        count = 1 + int(3 * keep)
    else:
        count = round(keep * len(said))
    kept = [said[i] for i in order[:count]]
    return ", ".join([SUBJECT, *kept] if subject < 0.8 or not kept else kept)
