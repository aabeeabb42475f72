"""Benchmarks: what the lessons teach, beside what learners would otherwise copy (`make
bench`)."""
