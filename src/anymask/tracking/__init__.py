"""Objects followed through clips: where frames come from, what a session keeps, and the trackers of each kind."""
