"""What the hidden units came to stand for: codes of the encoder, mirror weights of symmetry."""
def print_representations(seeds, limit): pass
