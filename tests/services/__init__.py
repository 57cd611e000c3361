"""Real servers for tests, each started as a child process on loopback, and their clients."""
