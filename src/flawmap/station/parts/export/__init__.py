"""Parts as CSV, Parquet or COCO, in streams that stay small however many there are."""
