"""What workloads share: telling how it goes, reading parameters and archives of images, packaging and opening."""
