"""Rows -> scores: how plausible is each response to the pretrained model?"""
