"""Every picture of a folder cut out and put on white, with one loaded model: python examples/cut_out_folder.py IN OUT.

For transparent cut-outs of whole folder trees there is `anymask cutout FOLDER -o OUT --recursive`.
"""

import sys
from pathlib import Path

import anymask

HERE = Path(__file__).parent.parent
source = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "assets"
target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("out")
target.mkdir(parents=True, exist_ok=True)

remover = anymask.BackgroundRemover("pocket")
for path in sorted(source.glob("*.jpg")):
    try:
        picture = remover.remove(path, background="white")
    except anymask.AnymaskError as error:
        print(error)
        continue
    picture.save(target / f"{path.stem}.white.png")
    print(target / f"{path.stem}.white.png")
