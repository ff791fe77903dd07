"""Looking back: the timeline, playback in the browser and over HLS, thumbnails."""
