"""Where jobs are kept. `port` says what a storage does; `opening` chooses one."""
