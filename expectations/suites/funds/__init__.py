"""What deliveries of union funds must satisfy beside their contracts."""
