"""The report on a model: figures, tables and page."""
