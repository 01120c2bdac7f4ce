"""Base models, engines and number formats at hand."""
