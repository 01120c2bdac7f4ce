"""Rows made of examples in another form than prompt and answer: text, pairs of texts, words of other languages."""
