"""Processes: configuration, listening, signals, logs, start and stop."""
