"""Learns from images in folders, one folder a class, to tell of other images which class they are."""
