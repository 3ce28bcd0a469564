"""What deliveries of the medical insurance must satisfy beside their contracts."""
