"""Buckets of object storage (Amazon S3 and compatible, Google Cloud, Azure), read and written through obstore."""
