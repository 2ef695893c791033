"""The command line: one command to a file. Nothing here imports torch before a command needs it."""
