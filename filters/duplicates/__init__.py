"""Near-duplicates: hashes, clusters, embeddings, leakage against benchmarks, and how good all that is."""
