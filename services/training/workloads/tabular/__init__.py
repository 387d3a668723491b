"""Tables: predicts one column from the others."""
