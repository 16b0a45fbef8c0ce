"""One lead in, twelve out: methods, scores, personal models."""
