"""What deliveries of employment and social insurance must satisfy beside their contracts."""
