"""Training arms side by side: settings, runs, their low-resolution images, validity of rewards, the report."""
