"""Running the warehouse: server, pass, build, publication, command line."""
