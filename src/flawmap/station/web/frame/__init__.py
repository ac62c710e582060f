"""What all pages share around their content: files, errors, events, the chosen product."""
