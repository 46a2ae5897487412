"""A portal's limits, and the order in which requests are sent within them."""
