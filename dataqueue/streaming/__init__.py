"""Events as they happen: one reader of the log for everybody in a process who follows it."""
