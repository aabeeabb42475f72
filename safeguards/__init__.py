"""What keeps strangers' addresses and files from doing harm; imports nothing else of ours."""
