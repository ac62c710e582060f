"""OPC UA server with the last results, for programmable controllers."""
