"""A classifier of somebody's own folder of pictures, and a report: `make mine`."""
