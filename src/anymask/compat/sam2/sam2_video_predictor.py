"""`SAM2VideoPredictor`: objects followed through a video, with the reference's signatures and its rules.

Its rules are not those of `anymask.Tracker`, where corrections stick: a prompt on a frame that was not tracked yet
makes it a conditioning frame; one on a frame that was corrects it there, and holds for what is propagated from later
frames, but tracking over that frame again forgets it. `add_all_frames_to_correct_as_cond` makes corrections stick.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from anymask.compat.sam2.cleaning import without_holes
from anymask.compat.sam2.inference_state import FollowedObject, InferenceState, Pending, open_video
from anymask.compat.sam2.modeling.sam2_base import SAM2Base
from anymask.compat.tensors import to_tensor
from anymask.errors import PromptError
from anymask.recall import MAPS
from anymask.runtime import load_video_engine
from anymask.runtime.engine import BOX_END, BOX_START
from anymask.segmenter import Segmenter
from anymask.tracking.bank import Remembered, narrowed
from anymask.tracking.frames import check_index
from anymask.tracking.memory import Found, MemoryFollower, Seen

if TYPE_CHECKING:
    import torch

NOT_THERE = -1024.0  # logits of an object of which nothing is known on a frame
OUTSHONE = -10.0  # the most that logits may be where another object's are higher

Answer = tuple[int, list[Any], "torch.Tensor"]


class SAM2VideoPredictor(SAM2Base):
    """Follows objects through videos, one `InferenceState` for each video. It keeps nothing of them itself.

    Args:
        name, checkpoint, precision: as in `LazyModel`; `build_sam2_video_predictor` says them by the reference's names.
        fill_hole_area: holes of masks of at most so many low-resolution pixels are filled. As the reference's builder
            sets it (which fills them on CUDA alone, and only when its extension was compiled).
        non_overlap_masks: of the masks that are given back, each pixel belongs to one object at most.
        clear_non_cond_mem_around_input: forget tracked frames near a prompted one.
        add_all_frames_to_correct_as_cond: corrected frames become conditioning frames.
        binarize_mask_from_pts_for_mem_enc: masks of prompted frames are remembered without their uncertainty.

    Those after precision may be changed later as attributes.
    """

    def __init__(
        self,
        name: str,
        checkpoint: str | os.PathLike[str] | None = None,
        precision: str = "auto",
        fill_hole_area: float = 8,
        non_overlap_masks: bool = False,
        clear_non_cond_mem_around_input: bool = False,
        add_all_frames_to_correct_as_cond: bool = False,
        binarize_mask_from_pts_for_mem_enc: bool = True,
    ) -> None:
        super().__init__(name, checkpoint, precision)
        self.fill_hole_area = fill_hole_area
        self.non_overlap_masks = non_overlap_masks
        self.clear_non_cond_mem_around_input = clear_non_cond_mem_around_input
        self.add_all_frames_to_correct_as_cond = add_all_frames_to_correct_as_cond
        self.binarize_mask_from_pts_for_mem_enc = binarize_mask_from_pts_for_mem_enc
        self._follower: MemoryFollower | None = None

    @classmethod
    def from_pretrained(cls, model_id: str, **options: Any) -> SAM2VideoPredictor:
        """A predictor by the model's repository, `facebook/sam2.1-hiera-large`; the options are
        `build_sam2_video_predictor`'s. Raises as that does."""
        from anymask.compat.sam2.build_sam import build_sam2_video_predictor_hf

        return build_sam2_video_predictor_hf(model_id, **options)

    def _load(self) -> Segmenter:
        engine = load_video_engine(self.spec.name, self._device, self._precision, self._checkpoint)
        return Segmenter.over(engine, self._checkpoint)

    @property
    def follower(self) -> MemoryFollower:
        """The tracker over the model; the first use loads it."""
        if self._follower is None or self._follower.segmenter is not self.segmenter:
            self._follower = MemoryFollower(self.segmenter)
        return self._follower

    def init_state(
        self,
        video_path: Any,
        offload_video_to_cpu: bool = False,
        offload_state_to_cpu: bool = False,
        async_loading_frames: bool = False,
    ) -> InferenceState:
        """Open a video: a folder of JPEG files named by their numbers, or a clip (which needs PyAV); also an array
        `[T, H, W, 3]` or a list of pictures.

        The three options make no difference: frames are read when they are needed and not kept, and what is known of
        the objects lies in main memory.

        Raises:
            ImageError: there is no video that can be read, or it is a stream.
            MissingExtraError: a clip, without PyAV.
            ModelError, WeightsError: the model cannot be loaded.
        """
        frames = open_video(video_path)
        return InferenceState(frames, self.follower, self._device, (offload_video_to_cpu, offload_state_to_cpu))

    def add_new_points_or_box(
        self,
        inference_state: InferenceState,
        frame_idx: int,
        obj_id: Hashable,
        points: Any = None,
        labels: Any = None,
        clear_old_points: bool = True,
        normalize_coords: bool = True,
        box: Any = None,
    ) -> Answer:
        """Say where an object is on a frame; an object that is not known yet is added.

        Args:
            inference_state: what `init_state` gave.
            frame_idx: the frame's number.
            obj_id: any id.
            points: `[K, 2]`, x and y; an array, a list or a tensor.
            labels: `[K]`, 1 on the object, 0 off it.
            clear_old_points: forget the points that were given on this frame before.
            normalize_coords: coordinates are pixels of the frame; False: shares of its width and height, 0 to 1.
            box: `[4]`, x0, y0, x1, y1.

        Returns:
            The frame's number, the ids of all objects, and their logits on it at the video's size, a float32 tensor
            `[N, 1, H, W]`; -1024 for an object of which nothing is known there.

        Raises:
            ValueError: points without labels or the other way round, neither points nor a box, a box without
                clear_old_points.
            PromptError: there is no such frame, or shapes that do not fit.
        """
        if (points is None) != (labels is None):
            raise ValueError("points and labels must be given together.")
        if points is None and box is None:
            raise ValueError("At least one of points and box must be given.")
        if box is not None and not clear_old_points:
            raise ValueError("A box comes before all points, so that it cannot be added to earlier ones.")
        state, index = inference_state, int(frame_idx)
        seen = state.see(index, self.follower)
        coords, kinds = _prompt(points, labels, box)
        if not normalize_coords:
            coords = coords * np.array([state.video_width, state.video_height], np.float32)
        one = self._object(state, obj_id)
        if not clear_old_points and index in one.points:
            before = one.points[index]
            coords, kinds = np.concatenate([before[0], coords]), np.concatenate([before[1], kinds])
        backward = None if self._is_new(one, index) else one.passed[index]
        found = self.follower.asked(seen, coords, kinds, one.memory, backward, one.logits(index))
        one.points[index] = coords, kinds
        one.masked.discard(index)
        return self._answered(state, index, obj_id, one, found)

    def add_new_points(self, *args: Any, **kwargs: Any) -> Answer:
        """The older name of `add_new_points_or_box`."""
        return self.add_new_points_or_box(*args, **kwargs)

    def add_new_mask(self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, mask: Any) -> Answer:
        """Give an object's mask on a frame, bool `[H, W]` of any size (an array or a tensor); it is believed. Returns
        what `add_new_points_or_box` does. Raises PromptError for another shape, or a frame that there is not."""
        state, index = inference_state, int(frame_idx)
        seen = state.see(index, self.follower)
        array = _array(mask)
        if array.ndim != 2 or not array.size:
            raise PromptError(f"A mask has the shape [H, W], not {list(array.shape)}.")
        one = self._object(state, obj_id)
        found = self.follower.given(seen, array.astype(bool))
        one.points.pop(index, None)
        one.masked.add(index)
        return self._answered(state, index, obj_id, one, found)

    def propagate_in_video(
        self,
        inference_state: InferenceState,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
    ) -> Iterator[Answer]:
        """Follow all objects from frame to frame.

        Args:
            inference_state: what `init_state` gave.
            start_frame_idx: the first frame; None: the first conditioning frame of any object.
            max_frame_num_to_track: how many frames to go on after the first; None: to the end of the video.
            reverse: from later frames to earlier ones. There is nothing before frame 0, which is not given then.

        Yields what `add_new_points_or_box` returns, for each frame.

        Raises:
            RuntimeError: there are no objects, or nothing is said of one of them.
            PromptError: there is no such frame.
            ImageError: a frame cannot be read.
        """
        state = inference_state
        self._settle(state)
        start = start_frame_idx
        if start is None:
            start = min(index for one in state.objects.values() for index in one.memory.told)
        check_index(state.frames.name, start, state.num_frames)
        count = state.num_frames if max_frame_num_to_track is None else max_frame_num_to_track
        if reverse:
            span = range(start, max(start - count, 0) - 1, -1) if start > 0 else range(0)
        else:
            span = range(start, min(start + count, state.num_frames - 1) + 1)
        for index in span:
            self._settle(state)  # prompts may have come since
            self._track(state, index, reverse)
            yield index, state.obj_ids, self._masks(state, index)

    def clear_all_prompts_in_frame(
        self, inference_state: InferenceState, frame_idx: int, obj_id: Hashable, need_output: bool = True
    ) -> Answer | None:
        """Take back what was said of an object on a frame; what was found there is kept like a tracked frame's. Returns
        what `add_new_points_or_box` does, or None without `need_output`. Raises PromptError for an unknown object."""
        state, index = inference_state, int(frame_idx)
        if obj_id not in state.objects:
            raise PromptError(f"There is no object {obj_id!r}; there are {state.obj_ids}.")
        one = state.objects[obj_id]
        one.points.pop(index, None)
        one.masked.discard(index)
        one.pending.pop(index, None)
        if (kept := one.memory.told.pop(index, None)) is not None:
            one.memory.tracked[index] = kept
            one.passed.pop(index, None)
        return (index, state.obj_ids, self._masks(state, index)) if need_output else None

    def reset_state(self, inference_state: InferenceState) -> None:
        """Forget all objects and what was found; the video stays open."""
        inference_state.objects.clear()

    def remove_object(
        self, inference_state: InferenceState, obj_id: Hashable, strict: bool = False, need_output: bool = True
    ) -> tuple[list[Any], list[tuple[int, torch.Tensor]]]:
        """Follow an object no longer.

        Returns the ids that are left, and the frames that the object was prompted on, each with the logits of those
        that are left (none without `need_output`, or when none is left).

        Raises RuntimeError for an unknown object if `strict`.
        """
        state = inference_state
        if obj_id not in state.objects:
            if strict:
                raise RuntimeError(f"There is no object {obj_id!r} to be removed; there are {state.obj_ids}.")
            return state.obj_ids, []
        gone = state.objects.pop(obj_id)
        frames = sorted({*gone.points, *gone.masked}) if need_output and state.objects else []
        return state.obj_ids, [(index, self._masks(state, index)) for index in frames]

    def _object(self, state: InferenceState, obj_id: Hashable) -> FollowedObject:
        return state.objects.get(obj_id) or FollowedObject(self.follower.memory())

    def _is_new(self, one: FollowedObject, index: int) -> bool:
        """Whether a frame was not tracked yet, so that it is seen by itself; or there is no memory to see it by."""
        return index not in one.passed or not one.memory.told

    def _answered(
        self, state: InferenceState, index: int, obj_id: Hashable, one: FollowedObject, found: Found
    ) -> Answer:
        found = replace(found, logits=without_holes(found.logits, self.fill_hole_area))
        conditioning = self._is_new(one, index) or self.add_all_frames_to_correct_as_cond
        one.pending[index] = Pending(found, conditioning)
        state.objects[obj_id] = one
        return index, state.obj_ids, self._masks(state, index)

    def _settle(self, state: InferenceState) -> None:
        """Remember what was answered since the last propagation."""
        if not state.objects:
            raise RuntimeError("There is no object yet; say first where one is.")
        for index in sorted({index for one in state.objects.values() for index in one.pending}):
            seen = state.see(index, self.follower)
            for one in state.objects.values():
                if (pending := one.pending.pop(index, None)) is not None:
                    self._remember(seen, one, pending)
        for obj_id, one in state.objects.items():
            if not one.memory.told:
                raise RuntimeError(f"Nothing is said of object {obj_id!r}; give it points, a box or a mask first.")

    def _remember(self, seen: Seen, one: FollowedObject, pending: Pending) -> None:
        memory, found = one.memory, pending.found
        (map_,) = self._encoded(seen, [found], self.binarize_mask_from_pts_for_mem_enc)
        kept = Remembered(map_, found.pointer, found.logits)
        if self.clear_non_cond_mem_around_input:
            self._clear_around(one, seen.index)
        if pending.conditioning:
            memory.tracked.pop(seen.index, None)
            memory.told[seen.index] = kept
        elif seen.index not in memory.told:  # of a conditioning frame the reference keeps its first answer
            memory.tracked[seen.index] = kept

    def _track(self, state: InferenceState, index: int, reverse: bool) -> None:
        """All objects on a frame; those that it is a conditioning frame of have their answer there."""
        sought = [one for one in state.objects.values() if index not in one.memory.told]
        if sought:
            seen = state.see(index, self.follower)
            answers = self.follower.follow(seen, [one.memory for one in sought], reverse)
            found = [answer for answer in answers if isinstance(answer, Found)]
            for one, answer, map_ in zip(sought, found, self._encoded(seen, found, False), strict=True):
                logits = without_holes(answer.logits, self.fill_hole_area)
                one.memory.tracked[index] = Remembered(map_, answer.pointer, logits)
        for one in state.objects.values():
            if self.clear_non_cond_mem_around_input and index in one.memory.told:
                self._clear_around(one, index)
            one.passed[index] = reverse

    def _encoded(self, seen: Seen, found: list[Found], hard: bool) -> list[np.ndarray]:
        """What is to be remembered of answers, as a `Bank` keeps it: each uint16 `[c, M, M]`."""
        logits = np.stack([one.logits for one in found])
        presence = np.array([one.presence - 0.5 for one in found], np.float32)
        maps = self.follower.engine.remember(seen.features, logits, presence, hard)
        return [narrowed(one) for one in maps]

    def _clear_around(self, one: FollowedObject, index: int) -> None:
        for near in range(index - MAPS - 1, index + MAPS + 2):
            one.memory.tracked.pop(near, None)

    def _masks(self, state: InferenceState, index: int) -> torch.Tensor:
        """What is known of all objects on a frame, float32 `[N, 1, H, W]`."""
        side = self.follower.spec.mask_side
        nothing = np.full((side, side), NOT_THERE, np.float32)
        found = [one.logits(index) for one in state.objects.values()]
        logits = np.stack([nothing if one is None else one for one in found]) if found else np.zeros((0, side, side))
        masks = state.placement.upscale(logits.astype(np.float32))
        if self.non_overlap_masks and len(masks) > 1:
            highest = np.arange(len(masks))[:, None, None] == masks.argmax(axis=0)
            masks = np.where(highest, masks, np.minimum(masks, np.float32(OUTSHONE)))
        return to_tensor(masks[:, None], self.device)


def _prompt(points: Any, labels: Any, box: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coords float32 `[K, 2]` and labels `[K]`, a box's corners first. Raises PromptError."""
    coords, kinds = np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    try:
        if points is not None:
            coords, kinds = _array(points, np.float32).reshape(-1, 2), _array(labels, np.float32).reshape(-1)
        if box is not None:
            coords = np.concatenate([_array(box, np.float32).reshape(2, 2), coords])
            kinds = np.concatenate([np.array([BOX_START, BOX_END], np.float32), kinds])
    except (TypeError, ValueError):
        raise PromptError("Points are [K, 2] numbers, labels [K], and a box is [4].") from None
    if len(coords) != len(kinds) or not len(kinds) or not np.isfinite(coords).all():
        raise PromptError(f"There must be as many labels as points, and numbers: {len(coords)} and {len(kinds)}.")
    return coords, kinds


def _array(values: Any, kind: Any = None) -> np.ndarray:
    """An array, a list or a tensor as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, kind)
