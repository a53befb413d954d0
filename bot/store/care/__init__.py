"""The database file: who may write, copies, repair, retention."""
