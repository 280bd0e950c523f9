"""The paper's four data stages: from a folder of videos to triplets of reference, garment and clip, with captions."""
