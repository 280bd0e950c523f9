"""Who does what the core says: one owner of its state, the data of each session, garments, streams."""
