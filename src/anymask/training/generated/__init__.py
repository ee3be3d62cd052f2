"""Generated scenes with exact masks: most of what a small network sees of outlines when labelled pictures are few."""
