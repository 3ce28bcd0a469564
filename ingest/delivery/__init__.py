"""What a sender puts in the inbox: the package, its manifest, and whether it is whole."""
