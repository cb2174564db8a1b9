"""Fine-tuning that never learns a flagged response: the trainer and its four parts (sampler, average, responses,
card).
"""
