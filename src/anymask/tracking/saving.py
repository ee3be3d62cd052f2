"""Sessions as files: what was said, what is remembered of the objects, and what was found; not the video itself.

A file is an .npz archive without pickles. NumPy's archives carry checksums, so that a damaged file is noticed.
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from anymask import rle
from anymask.errors import ImageError, WeightsError
from anymask.images import write_atomic
from anymask.placement import Placement
from anymask.prompts import Prompt
from anymask.tracking.follower import Answer, Follower
from anymask.tracking.frames import Frames
from anymask.tracking.kept import BARE

if TYPE_CHECKING:
    from anymask.tracking.session import Session

FORMAT = 1
THUMBNAIL = 16  # rows and columns of the first frame, grey, by which a video is known again
ALIKE = 6.0  # grey levels that it may differ by on average; decoders are not all the same


def save(session: Session, follower: Follower, path: str | os.PathLike[str]) -> None:
    """Write a session, as a whole or not at all; see `Session.save`."""
    arrays: dict[str, np.ndarray] = {}
    objects = []
    for object_id, one in session._objects.items():
        for name, array in one.memory.arrays().items():
            arrays[f"memory_{object_id}_{name}"] = array
        told = []
        for frame, said in one.told.items():
            key = f"told_{object_id}_{frame}"
            about: dict[str, Any] = {"frame": frame, "answer": _described(said.answer)}
            arrays[f"{key}_logits"] = said.answer.logits
            if isinstance(said.prompt, Prompt):
                arrays[f"{key}_points"], arrays[f"{key}_labels"] = said.prompt.points, said.prompt.labels
                about["box"] = None if said.prompt.box is None else said.prompt.box.tolist()
            told.append(about)
        objects.append({"id": object_id, "told": told})
    kept = []
    for number, ((frame, object_id), answer) in enumerate(session.kept):
        kept.append({"frame": frame, "id": object_id, "answer": _described(answer.bare), "shape": answer.shape})
        arrays[f"kept_{number}"] = np.frombuffer(answer.data, np.uint8)
    about = {
        "format": FORMAT,
        "model": follower.spec.name,
        "next": session.frames.newest + 1,
        "objects": objects,
        "kept": kept,
    }
    if not session.frames.streams:
        first = session.frame(0)
        about |= {"size": first.shape[:2], "count": session.count}
        arrays["thumbnail"] = thumbnail(first)
    buffer = BytesIO()
    np.savez_compressed(buffer, session=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]
    write_atomic(path, buffer.getvalue())


def load(follower: Follower, path: str | os.PathLike[str], frames: Frames) -> Session:
    """What `save` wrote; see `Tracker.resume`."""
    from anymask.tracking.session import Followed, Session, Told

    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(str(arrays.pop("session")))
        version, model = about["format"], about["model"]
    except OSError as error:
        raise ImageError(f"The session {path} cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # what damaged archives raise is of every kind
        raise ImageError(f"{path} is damaged, or not a file that Session.save wrote.") from error
    if version != FORMAT:
        raise WeightsError(f"{path} was written by another version of anymask; begin a new session.")
    if model != follower.spec.name:
        raise WeightsError(f"{path} was saved with {model}, not with {follower.spec.name}.")
    if frames.streams:
        frames.newest = about["next"] - 1  # what comes now is numbered on
    session = Session(follower, frames)
    if not frames.streams:
        first, known = session.frame(0), arrays.get("thumbnail", np.zeros((THUMBNAIL, THUMBNAIL), np.uint8))
        apart = float(np.abs(thumbnail(first).astype(float) - known).mean())
        if [*first.shape[:2]] != about.get("size") or session.count != about["count"] or apart > ALIKE:
            raise ImageError(f"{frames.name} is not the video that {path} was saved with.")
    try:
        for one in about["objects"]:
            object_id = one["id"]
            prefix = f"memory_{object_id}_"
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            followed = Followed(follower.memory(own))
            for said in one["told"]:
                key = f"told_{object_id}_{said['frame']}"
                answer = _answer(said["answer"], arrays[f"{key}_logits"])
                asked: Prompt | np.ndarray
                if "box" in said:
                    asked = Prompt(arrays[f"{key}_points"], arrays[f"{key}_labels"], said["box"])
                else:
                    assert answer.mask is not None
                    asked = rle.decode(answer.mask)
                followed.told[said["frame"]] = Told(asked, answer)
            session._objects[object_id] = followed
        for number, one in enumerate(about["kept"]):
            answer, data = _answer(one["answer"], BARE), arrays[f"kept_{number}"].tobytes()
            session.kept.keep_packed(one["frame"], one["id"], answer, data, tuple(one["shape"]))
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ImageError(f"{path} is damaged, or not a file that Session.save wrote.") from error
    return session


def thumbnail(rgb: np.ndarray) -> np.ndarray:
    """What a frame is known by: uint8 `[16, 16]`."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))


def _described(answer: Answer) -> dict[str, Any]:
    place = answer.placement
    fields = ("height", "width", "model_height", "model_width", "input_height", "input_width", "crop", "enlarge")
    return {
        "placement": {name: getattr(place, name) for name in fields},
        "score": answer.score,
        "presence": answer.presence,
        "mask": None if answer.mask is None else rle.compress(answer.mask),
    }


def _answer(about: dict[str, Any], logits: np.ndarray) -> Answer:
    fields = about["placement"]
    place = Placement(**{**fields, "crop": tuple(fields["crop"])})
    return Answer(logits, place, about["score"], about["presence"], about["mask"])
