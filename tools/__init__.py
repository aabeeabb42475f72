"""What maintainers run, by what it is for: each folder says so in its first line."""
