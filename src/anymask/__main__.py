"""`python -m anymask` is `anymask`."""

from anymask.cli import main

main()
