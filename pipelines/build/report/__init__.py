"""What card and report of a build tell: the page, what the license gate excluded, how right the labels are."""
