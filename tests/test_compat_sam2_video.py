"""Programs written for `sam2`'s video predictor, with only the module's name changed. A stand-in answers in place of a
network: what has the colour that was clicked (see video_engine.py)."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from video_engine import CELLS, SIDE, ColourEngine

from anymask import ImageError, ModelError, PromptError
from anymask.compat.sam2 import (
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    build_sam2_video_predictor,
    build_sam2_video_predictor_hf,
)
from anymask.compat.sam2.cleaning import without_holes

HEIGHT, WIDTH, FRAMES = 64, 96, 10
GREY, YELLOW, RED = (90, 90, 90), (250, 220, 40), (230, 30, 30)
CONFIG = "configs/sam2.1/sam2.1_hiera_t.yaml"


def video(count: int = FRAMES) -> list[np.ndarray]:
    """A yellow square that moves, and a red one that stands still."""
    made = np.full((count, HEIGHT, WIDTH, 3), GREY, np.uint8)
    for index, rgb in enumerate(made):
        rgb[8:32, 2 * index : 2 * index + 24] = YELLOW
        rgb[44:60, 72:90] = RED
    return list(made)


class Engine(ColourEngine):
    """Where no pointer is remembered, the object is what is yellow."""

    def condition(self, features: Any, rows: Any, times: Any, maps: Any, pointers: Any) -> Any:
        if pointers.shape[1]:
            return super().condition(features, rows, times, maps, pointers)
        assert pointers.shape == (len(maps), 0, 3)
        self.log.append(("condition", (rows.tolist(), [], maps.copy())))
        return (*features, np.array([YELLOW], np.float32))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr("anymask.compat.sam2.sam2_video_predictor.load_video_engine", lambda *choice: engine)
    return engine


@pytest.fixture
def predictor(engine: Engine) -> SAM2VideoPredictor:
    return build_sam2_video_predictor(CONFIG, device="cpu")


@pytest.fixture
def tracked(predictor: SAM2VideoPredictor, engine: Engine) -> Any:
    """A state whose object 1, yellow, was clicked on frame 0 and followed to the end."""
    state = predictor.init_state(video())
    predictor.add_new_points_or_box(state, 0, 1, points=[[5, 20]], labels=[1])
    for _ in predictor.propagate_in_video(state):
        pass
    engine.log.clear()
    return state


def centre(masks: torch.Tensor, row: int = 0) -> tuple[float, float]:
    """x and y of the middle of a mask."""
    y, x = np.nonzero((masks[row, 0] > 0).numpy())
    return float(x.mean()), float(y.mean())


def test_the_notebook(predictor: SAM2VideoPredictor, engine: Engine, tmp_path: Path) -> None:
    for index, frame in enumerate(video(12)):
        Image.fromarray(frame).save(tmp_path / f"{index}.jpg", quality=95)  # 10 comes after 9
    Image.new("RGB", (5, 5)).save(tmp_path / "0.png")
    state = predictor.init_state(video_path=str(tmp_path), offload_video_to_cpu=True, async_loading_frames=True)
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (12, HEIGHT, WIDTH)
    predictor.reset_state(state)
    _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=state,
        frame_idx=0,
        obj_id=1,
        points=np.array([[5, 20]], dtype=np.float32),
        labels=np.array([1], np.int32),
    )
    assert out_obj_ids == [1] and out_mask_logits.shape == (1, 1, HEIGHT, WIDTH)
    assert out_mask_logits.dtype == torch.float32 and out_mask_logits.device == predictor.device
    mask = (out_mask_logits[0] > 0.0).cpu().numpy()
    assert mask.shape == (1, HEIGHT, WIDTH) and mask[0, 20, 10] and not mask[0, 50, 80]
    predictor.add_new_points_or_box(state, 0, "bus", box=np.array([70, 42, 92, 62], np.float32))
    assert state["obj_ids"] == [1, "bus"] and state["obj_id_to_idx"] == {1: 0, "bus": 1}
    video_segments = {}
    for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(state):
        video_segments[out_frame_idx] = {
            out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy() for i, out_obj_id in enumerate(out_obj_ids)
        }
    assert list(video_segments) == list(range(12)) and video_segments[3].keys() == {1, "bus"}
    left = [np.nonzero(segments[1][0])[1].mean() for segments in video_segments.values()]
    assert np.diff(left).min() >= 0 and left[11] - left[0] == pytest.approx(22, abs=5)
    assert engine.calls("answer")[1][1] == [[2, 3]]


def test_clicks_add_up_or_take_each_others_place(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video())
    first = predictor.add_new_points_or_box(state, 0, 1, [[5, 20]], [1])
    predictor.add_new_points_or_box(state, 0, 1, torch.tensor([[90, 5]]), torch.tensor([0]), clear_old_points=False)
    predictor.add_new_points(state, 0, 1, [[90, 5]], [0])
    predictor.add_new_points_or_box(state, 0, 1, [[0.5, 0.25]], [1], normalize_coords=False, box=[0.25, 0.5, 1, 1])
    asked = engine.calls("answer")
    assert [labels for _, labels, _ in asked] == [[[1]], [[1, 0]], [[0]], [[2, 3, 1]]]
    assert asked[1][0].tolist() == [[[pytest.approx(5 * SIDE / WIDTH), 20], [60, 5]]]
    assert asked[3][0].tolist() == [[[16, 32], [64, 64], [32, 16]]]
    assert asked[0][2] is None and asked[1][2].shape == (1, CELLS, CELLS)
    place = state.placement
    assert np.array_equal(first[2][0].numpy(), place.upscale(asked[1][2])), "a correction starts from what was found"
    assert engine.calls("remember") == [] and len(engine.calls("encode")) == 1, (
        "nothing is remembered before it is used"
    )


def test_a_correction_is_forgotten_when_its_frame_is_tracked_again(
    predictor: SAM2VideoPredictor, tracked: Any, engine: Engine
) -> None:
    before = dict_of(predictor, copy.deepcopy(tracked))
    engine.log.clear()
    _, _, masks = predictor.add_new_points_or_box(tracked, 4, 1, [[80, 50]], [1])  # no, the red one
    assert centre(masks)[1] > 40
    ((rows, times, _),) = engine.calls("condition")
    assert rows == [6, 0, 1, 2] and [round(time * 9) for time in times] == [4, 1, 2, 3]
    found = dict_of(predictor, tracked, start_frame_idx=5)
    assert list(found) == [5, 6, 7, 8, 9] and centre(predictor._masks(tracked, 4))[1] > 40
    rows, _, maps = engine.calls("condition")[1]
    assert rows == [6, 0, 1, 2, 3] and maps[0, 1, 0, 0, 0] != maps[0, 2, 0, 0, 0], "the corrected frame is seen"
    assert [hard for _, _, hard in engine.calls("remember")][:2] == [True, False]
    again = dict_of(predictor, tracked)
    assert all(torch.equal(again[index], before[index]) for index in range(FRAMES))
    assert tracked.objects[1].memory.told.keys() == {0}


def dict_of(predictor: SAM2VideoPredictor, state: Any, **span: Any) -> dict[int, torch.Tensor]:
    return {index: masks for index, _, masks in predictor.propagate_in_video(state, **span)}


def test_a_correction_sticks_where_it_is_told_to(predictor: SAM2VideoPredictor, tracked: Any, engine: Engine) -> None:
    predictor.add_all_frames_to_correct_as_cond = True
    _, _, masks = predictor.add_new_points_or_box(tracked, 4, 1, [[80, 50]], [1])
    found = dict_of(predictor, tracked)
    assert torch.equal(found[4], masks)
    rows = [rows for rows, _, _ in engine.calls("condition")[1:]]
    assert rows[0] == [6, 6] and rows[3] == [6, 6, 1, 2, 3], "frames before it see it, too"
    predictor.add_new_points_or_box(tracked, 0, 1, [[80, 50]], [1])
    assert centre(dict_of(predictor, tracked)[1])[1] > 40


def test_a_conditioning_frame_keeps_its_first_answer(predictor: SAM2VideoPredictor, tracked: Any) -> None:
    _, _, masks = predictor.add_new_points_or_box(tracked, 0, 1, [[80, 50]], [1])
    assert centre(masks)[1] > 40, "shown"
    assert centre(dict_of(predictor, tracked)[0])[1] < 40, "and not kept, as in the reference"


def test_a_frame_beyond_the_tracked_ones_is_answered_by_itself(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video())
    predictor.add_new_points_or_box(state, 2, 1, [[9, 20]], [1])
    assert list(dict_of(predictor, state, max_frame_num_to_track=2)) == [2, 3, 4]
    engine.log.clear()
    predictor.add_new_points_or_box(state, 7, 1, [[80, 50]], [1])
    assert engine.calls("condition") == [] and len(engine.calls("alone")) == 1
    found = dict_of(predictor, state, start_frame_idx=6)
    assert state.objects[1].memory.told.keys() == {2, 7} and list(found) == [6, 7, 8, 9]
    rows, times, _ = engine.calls("condition")[0]
    assert rows == [6, 6, 1, 2] and len(times) == 3, "all conditioning frames, and 4 and 3"


def test_backwards_and_objects_that_are_first_shown_ahead(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video())
    predictor.add_new_points_or_box(state, 5, 1, [[20, 20]], [1])
    assert list(dict_of(predictor, state, reverse=True)) == [5, 4, 3, 2, 1, 0]
    assert [rows for rows, _, _ in engine.calls("condition")] == [[6], [6, 0], [6, 0, 1], [6, 0, 1, 2], [6, 0, 1, 2, 3]]
    assert list(dict_of(predictor, state, start_frame_idx=0, reverse=True)) == []
    assert list(dict_of(predictor, state, start_frame_idx=4, max_frame_num_to_track=2, reverse=True)) == [4, 3, 2]
    predictor.add_new_points_or_box(state, 3, 1, [[20, 20]], [1])  # came from behind
    rows, times, _ = engine.calls("condition")[-1]
    assert rows == [6, 0] and [round(time * 9) for time in times] == [2, 1]
    predictor.reset_state(state)
    predictor.add_new_points_or_box(state, 5, 1, [[20, 20]], [1])
    engine.log.clear()
    found = dict_of(predictor, state, start_frame_idx=2, max_frame_num_to_track=0)
    assert engine.calls("condition")[0][:2] == ([6], []), "no pointer of a frame ahead"
    assert centre(found[2])[1] < 32


def test_masks_are_given(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video())
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[44:60, 72:90] = True
    _, _, masks = predictor.add_new_mask(state, 0, 7, mask)
    assert (masks[0, 0].numpy() > 0)[48:56, 78:86].all() and centre(masks)[0] == pytest.approx(80.5, abs=3)
    small = torch.from_numpy(mask[::2, ::2].copy())
    assert torch.equal(predictor.add_new_mask(state, 0, 7, small)[2], masks), "of any size"
    assert state.objects[7].masked == {0} and not state.objects[7].points
    predictor.add_new_points_or_box(state, 0, 7, [[80, 50]], [1], clear_old_points=False)
    assert engine.calls("answer")[0][1] == [[1]] and state.objects[7].masked == set()
    assert centre(dict_of(predictor, state)[9])[1] > 40
    assert engine.calls("adopt")[0].shape == (1, SIDE, SIDE)


def test_prompts_are_taken_back(predictor: SAM2VideoPredictor, tracked: Any, engine: Engine) -> None:
    predictor.add_new_points_or_box(tracked, 0, 2, [[80, 50]], [1])
    predictor.add_new_points_or_box(tracked, 3, 2, [[80, 50]], [1])
    index, ids, masks = predictor.clear_all_prompts_in_frame(tracked, 3, 2)
    assert (index, ids) == (3, [1, 2]) and (masks[1] == -1024).all() and (masks[0] > 0).any()
    assert dict_of(predictor, tracked).keys() == set(range(FRAMES))
    assert predictor.clear_all_prompts_in_frame(tracked, 0, 2, need_output=False) is None
    assert tracked.objects[2].memory.told == {} and 0 in tracked.objects[2].memory.tracked
    with pytest.raises(RuntimeError, match="Nothing is said of object 2"):
        dict_of(predictor, tracked)
    engine.log.clear()
    predictor.add_new_points_or_box(tracked, 5, 2, [[80, 50]], [1])
    assert len(engine.calls("alone")) == 1, "without a conditioning frame there is no memory to see it by"
    assert len(dict_of(predictor, tracked)) == FRAMES
    with pytest.raises(PromptError, match=r"There is no object 3; there are \[1, 2\]"):
        predictor.clear_all_prompts_in_frame(tracked, 0, 3)


def test_objects_are_removed(predictor: SAM2VideoPredictor, tracked: Any) -> None:
    predictor.add_new_points_or_box(tracked, 0, 2, [[80, 50]], [1])
    predictor.add_new_points_or_box(tracked, 4, 2, [[80, 50]], [1])
    assert predictor.remove_object(tracked, 3) == ([1, 2], [])
    with pytest.raises(RuntimeError, match=r"There is no object 3 to be removed; there are \[1, 2\]"):
        predictor.remove_object(tracked, 3, strict=True)
    ids, frames = predictor.remove_object(tracked, 2)
    assert ids == [1] and [index for index, _ in frames] == [0, 4]
    assert all(masks.shape == (1, 1, HEIGHT, WIDTH) and (masks > 0).any() for _, masks in frames)
    assert predictor.remove_object(tracked, 1) == ([], [])
    with pytest.raises(RuntimeError, match="There is no object yet"):
        dict_of(predictor, tracked)


def test_masks_that_do_not_overlap(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video())
    for obj_id in (1, 2):
        predictor.add_new_points_or_box(state, 0, obj_id, [[5, 20]], [1])
    predictor.add_new_points_or_box(state, 0, 3, [[80, 50]], [1])
    shared = predictor._masks(state, 0)
    predictor.non_overlap_masks = True
    apart = predictor._masks(state, 0)
    assert ((shared > 0).sum(dim=0) == 2).any() and ((apart > 0).sum(dim=0) <= 1).all()
    assert torch.equal((apart > 0).any(dim=0), (shared > 0).any(dim=0)) and torch.equal(apart[2] > 0, shared[2] > 0)
    assert apart.shape == shared.shape == (3, 1, HEIGHT, WIDTH)


def test_holes_are_filled() -> None:
    logits = np.full((16, 16), -5.0, np.float32)
    logits[2:14, 2:14] = 5
    logits[4:6, 4:6] = logits[8:11, 8:11] = -5  # of 4 and of 9
    logits[6, 6] = -5  # at a corner of the first
    filled = without_holes(logits, 8)
    assert (filled[4:6, 4:6] == np.float32(0.1)).all() and filled[6, 6] == np.float32(0.1)
    assert (filled[8:11, 8:11] == -5).all() and (filled != logits).sum() == 5
    assert without_holes(logits, 0) is logits


def test_holes_are_not_shown_nor_remembered_of_prompts(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    frames = video()
    for frame in frames:
        frame[16:24, 6:18] = GREY  # of four cells, in the square
    state = predictor.init_state(frames)
    assert predictor.fill_hole_area == 8
    _, _, masks = predictor.add_new_points_or_box(state, 0, 1, [[5, 10]], [1])
    assert masks[0, 0, 20, 12] > 0
    predictor.fill_hole_area = 0
    _, _, bare = predictor.add_new_points_or_box(state, 0, 2, [[5, 10]], [1])
    assert bare[1, 0, 20, 12] < 0
    predictor.fill_hole_area = 8
    found = dict_of(predictor, state, max_frame_num_to_track=1)
    assert (found[1][:, 0, 20, 12] > 0).all()
    (first, _, _), (second, _, _), (both, _, _) = engine.calls("remember")
    assert (first == np.float32(0.1)).any() and not (second == np.float32(0.1)).any()
    assert not (both == np.float32(0.1)).any(), "of tracked frames memory keeps what the network said"


def test_what_is_remembered_near_prompts(predictor: SAM2VideoPredictor, engine: Engine) -> None:
    state = predictor.init_state(video(20))
    predictor.binarize_mask_from_pts_for_mem_enc = False
    predictor.add_new_points_or_box(state, 0, 1, [[5, 20]], [1])
    dict_of(predictor, state)
    assert not any(hard for _, _, hard in engine.calls("remember"))
    predictor.clear_non_cond_mem_around_input = True
    predictor.add_new_points_or_box(state, 12, 1, [[30, 20]], [1])
    engine.log.clear()
    dict_of(predictor, state, start_frame_idx=13, max_frame_num_to_track=0)
    assert sorted(state.objects[1].memory.tracked) == [1, 2, 3, 4, 12, 13]
    assert engine.calls("condition")[0][0] == [6, 0]


def test_a_copy_shares_the_video(predictor: SAM2VideoPredictor, tracked: Any) -> None:
    other = copy.deepcopy(tracked)
    predictor.add_new_points_or_box(other, 0, 2, [[80, 50]], [1])
    assert other.obj_ids == [1, 2] and tracked.obj_ids == [1] and other.frames is tracked.frames
    assert other["obj_idx_to_id"] == {0: 1, 1: 2} and other["storage_device"] == torch.device("cpu")
    assert "images" not in tracked and "obj_ids" in tracked
    with pytest.raises(KeyError, match="anymask's inference state has no 'images'; it has num_frames"):
        tracked["images"]


def test_prompts_may_come_while_it_propagates(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(video())
    predictor.add_new_points_or_box(state, 0, 1, [[5, 20]], [1])
    rows = []
    for index, ids, masks in predictor.propagate_in_video(state):
        rows.append(len(masks))
        assert len(ids) == len(masks)
        if index == 3:
            predictor.add_new_points_or_box(state, 4, 2, [[80, 50]], [1])
    assert rows == [1] * 4 + [2] * 6


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ({"points": [[1, 2]]}, ValueError, "must be given together"),
        ({"labels": [1]}, ValueError, "must be given together"),
        ({}, ValueError, "At least one of points and box"),
        ({"box": [1, 2, 3, 4], "clear_old_points": False}, ValueError, "A box comes before all points"),
        ({"points": [[1, 2]], "labels": [1, 0]}, PromptError, "as many labels as points, and numbers: 1 and 2"),
        ({"points": [[1, np.nan]], "labels": [1]}, PromptError, "and numbers"),
        ({"points": [], "labels": []}, PromptError, "as many labels as points"),
        ({"points": [[1, 2, 3]], "labels": [1]}, PromptError, r"Points are \[K, 2\]"),
        ({"box": [1, 2, 3]}, PromptError, r"a box is \[4\]"),
        ({"points": "here", "labels": [1]}, PromptError, r"Points are \[K, 2\]"),
    ],
)
def test_prompts_that_are_none(
    predictor: SAM2VideoPredictor, prompt: dict[str, Any], error: type[Exception], message: str
) -> None:
    state = predictor.init_state(video(2))
    with pytest.raises(error, match=message):
        predictor.add_new_points_or_box(state, 0, 1, **prompt)
    assert state.obj_ids == [], "nothing was added"


def test_frames_and_masks_that_are_none(predictor: SAM2VideoPredictor) -> None:
    state = predictor.init_state(video(2))
    with pytest.raises(PromptError, match="There is no frame 2"):
        predictor.add_new_points_or_box(state, 2, 1, [[5, 20]], [1])
    with pytest.raises(PromptError, match=r"A mask has the shape \[H, W\], not \[1, 64, 96\]"):
        predictor.add_new_mask(state, 0, 1, np.zeros((1, HEIGHT, WIDTH), bool))
    with pytest.raises(RuntimeError, match="There is no object yet"):
        dict_of(predictor, state)
    predictor.add_new_points_or_box(state, 0, 1, [[5, 20]], [1])
    with pytest.raises(PromptError, match="There is no frame 9"):
        dict_of(predictor, state, start_frame_idx=9)


def test_videos(predictor: SAM2VideoPredictor, tmp_path: Path) -> None:
    for index, frame in enumerate(video(3)):
        Image.fromarray(frame).save(tmp_path / f"frame_{index}.png")
    assert predictor.init_state(tmp_path).num_frames == 3, "other pictures, where none is named by its number"
    assert predictor.init_state(np.stack(video(4)))["num_frames"] == 4
    with pytest.raises(ImageError, match=r"anymask\.Tracker takes streams"):
        predictor.init_state(iter(video(2)))
    with pytest.raises(ImageError, match="A clip is opened by its path"):
        predictor.init_state(b"clip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="has no pictures"):
        predictor.init_state(tmp_path / "empty")


def test_a_clip(predictor: SAM2VideoPredictor, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="clips need the video extra")
    from clips import clip

    state = predictor.init_state(str(clip(tmp_path / "clip.mp4")))
    predictor.add_new_points_or_box(state, 0, 1, [[5, 30]], [1])
    found = dict_of(predictor, state)
    assert len(found) == state["num_frames"] == 12 and centre(found[11])[0] == pytest.approx(34, abs=3)


def test_what_is_built(engine: Engine, tmp_path: Path) -> None:
    overrides = [
        "++model.add_all_frames_to_correct_as_cond=true",
        "++model.non_overlap_masks=True",
        "model.fill_hole_area=0",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh=0.98",
    ]
    built = build_sam2_video_predictor("sam2_hiera_b+.yaml", hydra_overrides_extra=overrides, vos_optimized=True)
    assert (built.spec.name, built.image_size) == ("sam2_hiera_base_plus", 1024)
    assert built.add_all_frames_to_correct_as_cond and built.non_overlap_masks and built.fill_hole_area == 0
    assert built.binarize_mask_from_pts_for_mem_enc and not built.clear_non_cond_mem_around_input
    assert repr(built) == "SAM2VideoPredictor('sam2_hiera_base_plus', cpu)"
    for override in (
        "++model.memory_temporal_stride_for_eval=2",
        "++model.fill_hole_area=true",
        "++model.non_overlap_masks=2",
    ):
        with pytest.raises(ModelError, match=r"There is no override .*; known are, .*\+\+model\.fill_hole_area"):
            build_sam2_video_predictor(CONFIG, hydra_overrides_extra=[override])
    for option in ({"mode": "train"}, {"apply_postprocessing": False}):
        with pytest.raises(ModelError, match="fill_hole_area=0"):
            build_sam2_video_predictor(CONFIG, **option)
    with pytest.raises(FileNotFoundError, match="There is no checkpoint at"):
        build_sam2_video_predictor(CONFIG, tmp_path / "none.pt")
    assert build_sam2_video_predictor_hf("facebook/sam2.1-hiera-large").spec.name == "sam2.1_hiera_large"
    loaded = SAM2VideoPredictor.from_pretrained("facebook/sam2-hiera-small", precision="fp32")
    assert loaded.spec.name == "sam2_hiera_small" and loaded.follower.engine is engine
    assert SAM2ImagePredictor(loaded).model is loaded, "a model for videos serves for pictures, too"
