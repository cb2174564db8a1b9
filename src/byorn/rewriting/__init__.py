"""A data set again, in the format in which it came: some records elsewhere, some with other responses, some with marks.

What is not to be changed comes out as the very bytes (JSON, JSON lines) or values (Parquet,
`save_to_disk`) that it was.
"""
