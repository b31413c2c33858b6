"""Messages to many: rooms, and brokers that carry them between processes."""
