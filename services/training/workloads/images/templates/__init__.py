"""Files that go into every package as they are. They import nothing of this project."""
