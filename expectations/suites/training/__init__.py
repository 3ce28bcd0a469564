"""What deliveries of training institutions must satisfy beside their contracts."""
