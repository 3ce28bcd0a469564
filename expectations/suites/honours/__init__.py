"""What deliveries of honours must satisfy beside their contracts."""
