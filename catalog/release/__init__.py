"""What is published: shards, card, credits, manifest, Croissant, tombstones, and how two releases differ."""
