"""What a server does, in figures: counted in each worker, added up, and written down."""
