"""Trained networks in formats that others read."""
