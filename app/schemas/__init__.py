"""The shapes on the wire: what is validated, and what the OpenAPI document says."""
