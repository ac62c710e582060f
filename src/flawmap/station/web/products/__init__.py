"""Pages of products: begin, look after and improve their inspectors."""
