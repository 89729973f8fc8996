"""What must hold before v2 takes over: rules, their suites, the checkpoint, and its pages."""
