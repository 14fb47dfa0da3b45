"""Speed against peers, on the same work in one run. `make bench` runs them all; each module has `main()`."""
