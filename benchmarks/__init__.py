"""Each figure of docs/benchmarks has its script here; all are ratios measured side by side."""
