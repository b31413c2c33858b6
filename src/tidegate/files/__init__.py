"""What HTTP says about files, for the framework and for the server."""
