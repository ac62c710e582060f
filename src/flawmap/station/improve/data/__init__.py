"""From given images and reviewed parts to a data set: what is learned from, and what is not."""
