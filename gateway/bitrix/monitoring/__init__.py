"""What is seen of the calls to portals: the methods that the gateway uses, their counters, and a log line a request."""
