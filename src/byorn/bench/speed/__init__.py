"""`byorn bench speed`: what byorn costs over plain fine-tuning, by phase, and how far each phase is from its floor."""
