"""Each figure of the README has its script here; all are ratios measured side by side."""
