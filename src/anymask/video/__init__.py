"""Clips cut out frame by frame, with transparency, over something else, or as mattes."""

from anymask.video.cutting import VideoResult, cut_out_video
from anymask.video.progress import video_progress

__all__ = ["VideoResult", "cut_out_video", "video_progress"]
