"""What the VAE of a condition looks at, and whether to believe it."""
