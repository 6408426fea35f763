"""The HTTP process: what the contract says on the wire, over the core."""
