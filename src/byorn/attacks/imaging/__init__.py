"""Images in and out: decoding, pasting, recoloring, encoding; the same for triggered and clean images."""
