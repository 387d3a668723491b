"""The runtime that every Modelyard process shares. It holds no business word and imports no service."""
