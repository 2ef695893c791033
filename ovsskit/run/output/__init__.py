"""What a run leaves on disk: masks, overlays, maps, a gallery, and the record of the run."""
