"""Recording of training clients of the official SDK: proxies, the hook that turns calls into values, and `track`."""
