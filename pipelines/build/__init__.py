"""A build, stage by stage: crawl, gate, hash, measure, twins, decide, publish; and its refresh."""
