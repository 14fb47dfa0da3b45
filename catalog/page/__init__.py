"""The report: one offline page with charts, galleries and thumbnails, and how a crawl behaved."""
