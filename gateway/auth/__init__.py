"""Who calls the gateway: tokens and the keys that verify them."""
