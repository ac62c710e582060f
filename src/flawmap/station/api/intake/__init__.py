"""Images over HTTP: flawmap's own routes, and the Open Inference Protocol."""
