"""Tools that run and record: lessons' outputs, what was measured, the pictures in
docs."""
