"""What is allowed, and what follows from it: plain functions over a `Service`, without HTTP."""
