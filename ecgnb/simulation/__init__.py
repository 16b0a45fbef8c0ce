"""Records whose truth is known."""
