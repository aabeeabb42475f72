"""What's built on the lessons: a folder's own classifier, exports, pages, many pictures."""
