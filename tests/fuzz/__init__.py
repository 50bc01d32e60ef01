"""Mutations of data files, and what our readers make of them, judged by independent readings of the same files."""
