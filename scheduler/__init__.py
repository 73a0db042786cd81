"""The scheduler daemon `massd`: the shell around the decision core."""
