"""Training, exporting, benchmarks and documentation tables: run by people, not by users of the package."""
