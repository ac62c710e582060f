"""From good images to an inspector, and from reviews to a better one."""
