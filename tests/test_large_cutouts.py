"""Cut-outs of very large pictures: what they need of memory, in a process of their own."""

import subprocess
import sys

import pytest

CODE = """
import numpy as np, cv2
from anymask import BackgroundRemover
small = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
picture = cv2.resize(small, (10000, 10000), interpolation=cv2.INTER_LINEAR)
remover = BackgroundRemover("pocket", "cpu")
remover.remove(picture[:500, :500])

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

before = peak()
image = remover.remove(picture)
assert image.size == (10000, 10000) and image.mode == "RGBA"
print(peak() - before)
"""


@pytest.mark.slow
def test_a_hundred_megapixels():
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    # Alpha in float32 and the result alone are 800 MB.
    assert float(done.stdout) < 2500, done.stdout
