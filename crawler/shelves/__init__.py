"""Images that somebody has already: folders, WebDataset shards and Parquet files, as one list of items.

    for item in items_of([Path("photos")]):
        item.name, read_item(item)

An item is small and picklable and says where its bytes are, so that any process can read it. What cannot be listed (a
shard that is no tar, a table without images) is an item with a `problem` and no bytes. Nothing here decodes a picture.
"""

from __future__ import annotations

from crawler.shelves.items import Item, ItemGone, items_of, read_item

__all__ = ["Item", "ItemGone", "items_of", "read_item"]
