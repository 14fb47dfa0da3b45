"""The demo's corpus on an embedded Commons, and the score against its known truth."""
