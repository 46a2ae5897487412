"""Load tests: real time, real processes, ratios measured in one run. Not part of the test suite."""
