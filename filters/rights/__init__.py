"""What a file page says about rights beside the license: the table of signs, names, conditions, statements."""
