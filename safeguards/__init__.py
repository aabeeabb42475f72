"""What keeps strangers' addresses, files and networks from doing harm, and old answers
and look-alike pictures from passing as new ones; imports nothing else of ours."""
