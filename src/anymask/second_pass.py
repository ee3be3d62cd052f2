"""A second pass: what a box is answered with is asked for once more, with the answer as the mask prompt.

The network was trained to go on from a mask of its own, as Segment Anything was (Kirillov et al. 2023, appendix A);
where a box says how far the object goes, the second answer follows it a little better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from anymask.masks import Masks
from anymask.prompts import Prompt


def is_first(prompt: Prompt) -> bool:
    """Whether a prompt is one that a second pass betters: a box, and no mask. For clicks it was found to make masks of
    unseen pictures worse: nothing holds them to the object's extent."""
    return prompt.mask is None and prompt.box is not None


def pass_again(
    prompts: Sequence[Prompt], answers: Sequence[Masks], ask: Callable[[Sequence[Prompt]], Sequence[Masks]]
) -> list[Masks]:
    """The answers, those to first prompts in their second version.

    Candidates stay as they are: in a second pass they would all become the same mask.

    Args:
        prompts: what was asked on one view of a picture.
        answers: the masks for each prompt on that view.
        ask: gives one mask for each of many prompts whose masks lie on that view.
    """
    first = [i for i, prompt in enumerate(prompts) if is_first(prompt) and len(answers[i]) == 1]
    found = ask([replace(prompts[i], mask=answers[i].logits[0]) for i in first])
    again = dict(zip(first, found, strict=True))
    return [again.get(i, answer) for i, answer in enumerate(answers)]
