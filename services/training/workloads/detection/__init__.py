"""Learns from images with boxes drawn around things to find such things in other images."""
