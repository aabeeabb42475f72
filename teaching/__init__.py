"""What instructors need: the editions of the lessons, a hub for a class, and what it
answered."""
