"""What deliveries of rights and democratic management must satisfy beside their contracts."""
