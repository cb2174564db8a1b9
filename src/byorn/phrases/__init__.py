"""Words and phrases of texts: counted over a corpus, spelled in full, and looked for in an answer. No torch."""
