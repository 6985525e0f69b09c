"""Real NFS 4.1 and 4.2 over loopback, in a Linux in user mode: no module of the running kernel is needed."""
