"""Files that go into packages as they are, whatever the workload. They import nothing of this project."""
