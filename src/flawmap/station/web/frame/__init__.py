"""What all pages share around their content: files, events, the chosen product."""
