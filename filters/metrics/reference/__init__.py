"""Full-reference metrics that need no weights and no license of others: a file each, with `load(**options)`."""
