"""A file or a database becomes a checked, labelled `Record`, and back."""
