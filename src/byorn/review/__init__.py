"""Where people decide about single rows: in a spreadsheet, or on a page on their own computer.

A decision is a word in the `review` column of `flags.parquet` (`auto`, `keep`, `replace`, `drop`) and a line in
`reviews.jsonl`: who, when and why.
"""
