"""One module a feed, named ``<source>_<feed>``: ``expectations(facts)`` returns what it adds to the base suite."""
