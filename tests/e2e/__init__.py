"""The whole path, as a user has it: programs, a real broker, the command line, a store."""
