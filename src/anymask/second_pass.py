"""A second pass: what was answered is asked for once more, with the answer as the mask prompt.

The network was trained to go on from a mask of its own, as Segment Anything was (Kirillov et al. 2023, appendix A);
where a box says how far the object goes, the second answer follows it a little better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from anymask.masks import Masks
from anymask.prompts import Prompt


def is_first(prompt: Prompt) -> bool:
    """Whether a prompt is one that a second pass betters: a box, and no mask. For clicks it was found to make masks of
    unseen pictures worse: nothing holds them to the object's extent."""
    return prompt.mask is None and prompt.box is not None


def pass_again(
    prompts: Sequence[Prompt], answers: Sequence[Masks], ask: Callable[[Sequence[Prompt]], Sequence[Masks]]
) -> list[Masks]:
    """The answers, each mask of those to first prompts in its second version.

    Args:
        prompts: what was asked on one view of a picture.
        answers: the masks for each prompt on that view.
        ask: gives one mask for each of many prompts whose masks lie on that view.
    """
    first = [index for index, prompt in enumerate(prompts) if is_first(prompt)]
    found = iter(ask([replace(prompts[index], mask=logits) for index in first for logits in answers[index].logits]))
    better = list(answers)
    for index in first:
        each = list(islice(found, len(answers[index])))
        if each:
            logits, scores = (np.concatenate([getattr(one, name) for one in each]) for name in ("logits", "scores"))
            better[index] = Masks(logits, scores, answers[index].placements[0], prompts=prompts[index])
    return better
