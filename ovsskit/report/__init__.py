"""Make tables from the records of results, and compare two of them."""
