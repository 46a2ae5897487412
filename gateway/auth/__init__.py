"""Authentication of callers: tokens and the keys that verify them."""
