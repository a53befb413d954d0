"""Events as they are stored: each exactly once, what is remembered of them, their blocks and sums, what is missing."""
