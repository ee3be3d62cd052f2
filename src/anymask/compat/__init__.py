"""Other packages' call signatures over anymask's engines, so that code written for them runs unchanged."""
