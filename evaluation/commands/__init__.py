"""The commands of `python -m evaluation`: each adds its options to the parser, and runs."""
