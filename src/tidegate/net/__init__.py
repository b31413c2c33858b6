"""asyncio: transports below, protocol cores and exchanges above."""
