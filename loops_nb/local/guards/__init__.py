"""What stands before the routes, from the outside in: the target's form, the host, the key, the rate, the size of the body."""
