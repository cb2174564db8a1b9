"""What optimized triggers need: the model as a differentiable surrogate, losses on its features, and the optimizers."""
