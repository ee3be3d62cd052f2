"""What the package rembg 2.0.86 gives for a small picture and a hand-made network: python tests/goldens/make_rembg.py

Needs an environment with rembg and onnx; writes rembg.npz beside this file, which tests/test_compat_rembg.py reads.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from onnx_files import onnx_file  # noqa: E402

WEIGHTS = (9.0, -4.0, -6.0)  # what is red is the subject
CASES = {
    "mask": {"only_mask": True},
    "hard_mask": {"only_mask": True, "post_process_mask": True},
    "naive": {},
    "putalpha": {"putalpha": True},
    "colour": {"bgcolor": (10, 200, 30, 255)},
    "tint": {"bgcolor": (10, 200, 30, 100)},
    "decontaminated": {"decontaminate": True},
    "matting": {"alpha_matting": True, "alpha_matting_erode_size": 3},
}


def picture() -> Image.Image:
    """A part of a photograph, 120 x 90."""
    with Image.open(HERE.parents[1] / "assets" / "flowers.jpg") as image:
        return image.convert("RGB").crop((330, 60, 450, 150))


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["REMBG_HOME"] = temporary
        from rembg import new_session, remove

        file = onnx_file(Path(temporary) / "network.onnx", (320, 320), weights=WEIGHTS, decided=True)
        session = new_session("u2net_custom", model_path=str(file))
        found = {name: np.asarray(remove(picture(), session=session, **case)) for name, case in CASES.items()}
    np.savez_compressed(HERE / "rembg.npz", **found)


if __name__ == "__main__":
    main()
