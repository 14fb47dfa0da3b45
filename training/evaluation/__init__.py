"""Methods on benchmarks: outputs, metrics, aggregation, tables, galleries."""
