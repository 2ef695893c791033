"""The formats: a file for each, found by its name, with one public class."""
