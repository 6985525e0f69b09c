"""The model that trains and samples."""
