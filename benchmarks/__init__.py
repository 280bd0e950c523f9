"""`make bench`: ratios within one run, medians of several; every figure with its scope."""
