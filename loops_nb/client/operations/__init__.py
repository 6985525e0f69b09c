"""Every operation of the Loops API as a pure function from checked arguments to a `Call`; nothing here does I/O."""
