"""What deliveries of services must satisfy beside their contracts."""
