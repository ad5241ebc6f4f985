"""Speed and quality of the tool, as figures and ratios measured in one run."""
