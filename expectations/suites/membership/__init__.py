"""What deliveries of the unions' registers must satisfy beside their contracts."""
