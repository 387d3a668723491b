"""What fits models to a table. Both engines keep to one small protocol."""
