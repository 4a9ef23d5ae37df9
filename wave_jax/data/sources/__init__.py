"""Texts that are no files of the user's: docstrings, TensorFlow Datasets, Hugging Face's hub."""
