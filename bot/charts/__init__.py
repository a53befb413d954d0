"""Pictures: data in, a PNG and its words out; matplotlib's home. Pure, and slow to load: only who draws imports it."""
