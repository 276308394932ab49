"""A tier of real processes, clients that never stop, faults at random, and a verdict on everything that was seen."""
