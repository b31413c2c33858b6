"""What "serve this request" means, whatever protocol carried it."""
