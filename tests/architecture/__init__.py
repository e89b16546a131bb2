"""Checks of the code's shape; each can be given any tree."""
