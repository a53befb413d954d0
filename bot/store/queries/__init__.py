"""Questions answered from the store: conditions as SQL or over columns."""
