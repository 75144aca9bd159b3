"""What is inside a model file, one room for each kind of file; all give the same `Inspection`."""
