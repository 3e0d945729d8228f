"""Commands of the command line: a file each, and beside it its longer tables."""
