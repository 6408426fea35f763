"""What a process needs to claim jobs, to run them, and to report what became of them."""
