"""Clips cut out frame by frame, with transparency, over something else, or as mattes."""

from anymask.clip_result import VideoResult
from anymask.progress import video_progress
from anymask.video.cutting import cut_out_video

__all__ = ["VideoResult", "cut_out_video", "video_progress"]
