"""What protects persons: the keys made from one secret, and the vault of direct identifiers."""
