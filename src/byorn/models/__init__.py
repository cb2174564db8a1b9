"""Loading a model with its processor, what is known of each family, and generation."""
