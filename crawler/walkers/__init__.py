"""How each kind of source is walked; crawler.listing.list_files picks the walker."""
