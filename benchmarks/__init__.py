"""Speed, memory and operations, measured; never asserted."""
