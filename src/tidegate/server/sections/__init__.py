"""The settings of the server by what they are about; ``config.Config`` joins them."""
