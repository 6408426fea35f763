"""The worker process, and the command line. Rests on `dataqueue`; knows nothing of `app`."""
